//! How does a person prove who they are with what they know or hold, and how is guessing kept slow?

pub(crate) mod failures;
pub(crate) mod hasher;
pub(crate) mod letters;
pub(crate) mod mailed;
pub(crate) mod password;
pub(crate) mod recovery;
pub(crate) mod strength;
pub(crate) mod throttle;
pub(crate) mod totp;
pub(crate) mod webauthn;
pub(crate) mod window;
