//! Which sessions are there, and which cookie stands for which? In memory for every request; the store's writer changes them.

mod continued;
mod facts;
mod line;
mod table;

pub(crate) use continued::{Lasting, continues};
pub(crate) use facts::{ages_of, ages_of_proofs, facts_of_proofs, shared_facts};
pub(crate) use table::{Grip, Overlay, Replaced, SessionTable};
