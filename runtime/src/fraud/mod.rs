//! The fraud workload: signals, rules and the verdict.
