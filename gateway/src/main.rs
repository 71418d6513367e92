//! Latchkey.
mod config;
mod demo_apps;
fn main() {}
