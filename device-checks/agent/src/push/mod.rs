//! How does the agent hear that its user signs in elsewhere? On a stream from the gateway, one for each account, kept open.

mod answer;
mod stream;

pub use stream::keep;
