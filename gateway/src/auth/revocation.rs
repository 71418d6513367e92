//! Which device certificates no longer count, for others to know? The revocation list, made anew when something changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use certs::{Authority, CrlError};
use directory::{Fingerprint, Revision, Snapshot, Timestamp};
use http::{StatusCode, header};

use crate::logs::Chain;
use crate::setup::Setup;
use crate::world::World;

/// Keeps the last revocation list of each CA of ours while nothing changed.
#[derive(Default)]
pub(crate) struct CrlCache {
    last: Mutex<HashMap<Fingerprint, Made>>,
}

#[derive(Clone)]
struct Made {
    revision: Revision,
    renewed: Timestamp,
    der: Arc<[u8]>,
}

/// How long a list says it is good for.
const GOOD_FOR: Duration = Duration::from_hours(24);

/// After how long a new one is made although nothing changed.
const RENEWED: Duration = Duration::from_hours(1);

/// Where the authority's list is, for the certificates it issues (RFC 5280, section 4.2.1.13).
pub(crate) fn crl_url(setup: &Setup, authority: &Authority) -> String {
    format!("{}/crl/{}", setup.auth_origin, file_name(authority))
}

fn file_name(authority: &Authority) -> String {
    let fingerprint = authority.fingerprint().to_string();
    format!("{}.crl", fingerprint.get(..16).unwrap_or(&fingerprint))
}

/// Answers with the list, in DER (RFC 5280, section 5).
pub(super) async fn crl(State(world): State<Arc<World>>, Path(file): Path<String>) -> Response {
    let setup = world.setup.load();
    let mut own = std::iter::once(&world.authority).chain(&setup.retired);
    let Some(authority) = own.find(|authority| file == file_name(authority)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match world
        .crl
        .current(authority, &world.directory.snapshot(), world.clock.now())
    {
        Ok(der) => ([(header::CONTENT_TYPE, "application/pkix-crl")], der.to_vec()).into_response(),
        Err(error) => {
            tracing::error!(error = %Chain(&error), "the revocation list cannot be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl CrlCache {
    fn current(&self, authority: &Authority, directory: &Snapshot, now: Timestamp) -> Result<Arc<[u8]>, CrlError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let issuer = authority.fingerprint();
        if let Some(made) = last.get(&issuer)
            && made.revision == directory.revision()
            && now < made.renewed
        {
            return Ok(made.der.clone());
        }
        // The CRL number grows with every list (RFC 5280, section 5.2.3): milliseconds do, across restarts too.
        let number = u64::try_from(now.millis()).unwrap_or_default();
        let revoked: Vec<_> = directory.revoked_certificates(&issuer).collect();
        let revoked = revoked.iter().map(AsRef::as_ref);
        let der: Arc<[u8]> = authority.crl(revoked, number, now, now.plus(GOOD_FOR))?.into();
        let made = Made {
            revision: directory.revision(),
            renewed: now.plus(RENEWED),
            der: der.clone(),
        };
        last.insert(issuer, made);
        Ok(der)
    }
}
