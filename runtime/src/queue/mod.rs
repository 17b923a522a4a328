//! The queue of accepted payments.
