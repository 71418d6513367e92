//! What does it take to look at the whole system from outside? Processes, clients, a browser, a recording upstream, a stopwatch.

pub mod agent;
pub mod answer;
pub mod authenticator;
pub mod browser;
pub mod canary;
pub mod cli;
pub mod curl;
pub mod decision_log;
pub mod demo;
pub mod device;
pub mod ends;
pub mod enroll;
pub mod frames;
pub mod gallery;
pub mod grpc;
pub mod h2;

pub mod histogram;
pub mod jupyter;
pub mod mail;
pub mod openssl;
pub mod pam;
pub mod process;
pub mod push;
pub mod raw;
pub mod rules;
pub mod security_key;
pub mod shared;
pub mod site;
pub mod timing;
pub mod tls;
pub mod totp;
pub mod tpm;
pub mod upstream;
pub mod visitor;
pub mod websocket;
