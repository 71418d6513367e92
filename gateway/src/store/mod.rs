//! Where do changes become durable, and how does everybody learn of them? SQLite, one writer, a snapshot for all.

mod append;
mod commands;
mod load;
mod sessions;
mod sqlite;
mod system_log;
mod writer;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

pub(crate) use commands::{Directory, OpenError, SubmitError};
