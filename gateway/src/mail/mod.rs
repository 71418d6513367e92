//! How does the gateway write to people? Letters wait in a queue, and leave by a server or, in a demo, into a folder.

mod letter;
mod post;
mod queue;

pub(crate) use letter::{Letter, address_of};
pub(crate) use post::{Post, PostError};
pub(crate) use queue::{Outbox, carry};
