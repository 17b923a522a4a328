//! Figures per minute.
