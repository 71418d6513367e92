//! What does the small certification authority issue, list as revoked, and trust? Pure: no disk, no clock.

mod ca;
mod crl;
mod crl_foreign;
mod issue;
mod leaf;
mod ocsp;
mod pem_text;
mod request;
mod terms;
mod trust;
mod x509;

#[cfg(test)]
mod samples;

pub use ca::{Authority, CreateError, CreatedAuthority, LoadError, Material, Purpose};
pub use crl::CrlError;
pub use crl_foreign::{BadCrl, ForeignCrl};
pub use issue::{IssueError, IssuedCertificate, IssuedServer};
pub use leaf::{LeafRefused, check_client_leaf, validity};
pub use ocsp::{BadStaple, Staple};
pub use pem_text::{BadPem, read_certificates};
pub use request::{BadRequest, VerifiedRequest};
pub use terms::{OutOfCalendar, Terms};
pub use trust::{Anchor, BadAnchors, BadAnchorsCause, read_anchors};
pub use x509::{BadCertificate, NotAuthority, is_demo};
