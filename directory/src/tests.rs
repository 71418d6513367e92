//! Does the directory do what the behaviours say? Commands go in, plans are applied, the picture is looked at.

mod authenticators;
mod enrolment;
mod lifecycle;
mod managed;
mod people;
mod random;
mod releases;
mod reports;
mod scale;
mod sessions;
mod webauthn;
mod world;
