//! Does the directory do what the behaviours say? Commands go in, plans are applied, the picture is looked at.

mod enrolment;
mod lifecycle;
mod people;
mod random;
mod reports;
mod scale;
mod world;
