//! Who may talk to this agent on 127.0.0.1? Pages of the pinned auth host, in browsers of its own user; nobody else learns
//! more than that the port is taken.

pub mod authenticator;
mod caller;
mod checks;
pub mod enrolling;
mod foreign;
mod known;
mod listen;
mod probe;
mod reply;
mod server;
pub(crate) mod way;

pub use caller::owner;
pub(crate) use known::Known;
pub use listen::listen;
pub use probe::{Found, look};
pub use reply::Reply;
pub use server::{Call, Pages, bind, serve};
