//! `latchkey`: the access gateway and its command line.

mod admin;
mod auth;
mod cli;
mod clock;
mod config;
mod demo;
mod demo_apps;
mod front;
mod hosts;
mod jws;
mod live;
mod load;
mod lock;
mod logs;
mod operations;
mod pages;
mod polite;
mod private_file;
mod proxy;
mod rejudge;
mod reload;
mod request;
mod run;
mod setup;
mod store;
mod upstream;
mod world;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
