//! The definitions, the chart and the operator against a real API server, without a node: nothing runs but what a test starts.

mod approval;
mod chart;
mod deaths;
mod elections;
mod end_state;
mod fixture;
mod gitops;
mod log_node;
mod notifications;
mod operator;
mod plugin;
mod plugin_process;
mod promotion;
mod proxy;
mod puppet;
mod reconcile;
mod refusals;
mod release;
mod rest;
mod rights;
mod survival;
mod trouble;
mod users_cluster;
mod weather;
