//! `latchkey`: the access gateway and its command line.

mod admin;
mod agents;
mod api_error;
mod auth;
mod cli;
mod clock;
mod config;
mod cookies;
mod demo;
mod demo_apps;
mod device_trust;
mod doctor;
mod drain;
mod factors;
mod front;
mod gate;
mod hosts;
mod jws;
mod live;
mod load;
mod lock;
mod logs;
mod mail;
mod nonces;
mod operations;
mod pages;
mod polite;
mod private_file;
mod proxy;
mod pushes;
mod rejudge;
mod reload;
mod request;
mod run;
mod sealed;
mod sessions;
mod setup;
mod sign_in;
mod store;
mod telemetry;
mod upstream;
mod waiting;
mod world;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
