//! Does the store keep what it acknowledged, all of it and nothing by halves?

mod database;
mod log;
mod races;
mod recovery;
