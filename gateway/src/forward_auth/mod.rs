//! Who keeps their own proxy and asks what the gateway decides? Proxies that show a certificate of theirs; what they say of
//! a client's request becomes the request that is judged.

mod certificate;
mod forwarded;
mod trusted;
mod wire;
mod xfcc;

pub(crate) use forwarded::{BadForwarded, Forwarded};
pub(crate) use trusted::{ForwardAuth, Standing, TrustedProxy};
pub(crate) use wire::{Answer, CALL, CheckRequest, CheckResponse};

/// Where nginx, Traefik and Caddy ask whether a request may pass.
pub(crate) const CHECK: &str = "/check";

/// Where nginx, which hands on nothing but a status, gets what to tell the client whose request may not.
pub(crate) const DENIED: &str = "/denied";

/// The fields that proxies take from the gateway's answer, in place of whatever the client sent by these names; those that
/// are not in it they take away.
pub(crate) const REPLACED: [&str; 8] = [
    "x-latchkey-user",
    "x-latchkey-email",
    "x-latchkey-groups",
    "x-latchkey-device",
    "x-latchkey-assertion",
    "x-request-id",
    "cookie",
    // Nobody needs it behind the gateway: it is always taken away.
    "device-assertion",
];
