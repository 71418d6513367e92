//! `latchkey`: the access gateway. Its program calls [`main`]; fuzz targets call what reads what strangers and files say.

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
mod drain;
mod factors;
mod forward_auth;
mod front;
#[doc(hidden)]
pub mod fuzzing;
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
mod upstream;
mod waiting;
mod world;

pub use cli::main;
