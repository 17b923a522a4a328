//! The definitions, the chart and the operator against a real API server, without a node: nothing runs but what a test starts.

mod approval;
mod chart;
mod fixture;
mod log_node;
mod notifications;
mod operator;
mod plugin;
mod plugin_process;
mod promotion;
mod puppet;
mod reconcile;
mod refusals;
mod release;
mod survival;
mod trouble;
mod users_cluster;
