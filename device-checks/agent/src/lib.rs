//! What does a device do to prove itself? Keys that stay where they are made, and what they sign for the gateway.

pub mod advice;
pub mod assertion;
pub mod challenge;
pub mod cli;
pub mod doctor;
pub mod enrollment;
pub mod enrollment_challenge;
pub mod gateway;
pub mod installation;
pub mod keys;
pub mod loopback;
pub mod management;
pub mod pam;
pub mod pin;
pub mod private_file;
pub mod prompt;
pub mod push;
pub mod receipt;
pub mod renew;
pub mod report;
pub mod secret;
pub mod signals;
pub mod state;
pub mod tls;
