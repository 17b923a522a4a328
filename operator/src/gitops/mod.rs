//! What Argo CD and Flux see of a PaymentCluster, by the examples that are given for them: the scripts and the expressions run, on
//! statuses that the operator made.

mod actions_tests;
mod argo;
mod argo_tests;
mod files;
mod flux_tests;
mod scenes;
