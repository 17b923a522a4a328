//! Delivers.
