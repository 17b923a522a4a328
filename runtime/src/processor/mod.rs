//! Takes accepted payments to their end.
