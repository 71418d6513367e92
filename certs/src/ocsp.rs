//! Does an OCSP responder say that a certificate is good? What a server staples (RFC 6066, section 8), looked at before it does.

use der::asn1::{Any, BitString, GeneralizedTime, Int, ObjectIdentifier, OctetString};
use der::{Decode, Enumerated, Sequence, Tag, TagNumber, Tagged};
use directory::Timestamp;

use crate::x509;

/// A response that says that a certificate is good, for a while. Who signed it is for clients to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staple {
    this_update: Timestamp,
    next_update: Timestamp,
}

/// Says why a response is not to be stapled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadStaple {
    /// It is no basic response.
    #[error("expected an OCSP response in DER (RFC 6960)")]
    Unreadable,
    /// The responder had no answer.
    #[error("the responder was not successful")]
    Unsuccessful,
    /// It is about other certificates.
    #[error("it is not about the server certificate")]
    OtherCertificate,
    /// The certificate is revoked, or the responder does not know it.
    #[error("it does not say that the certificate is good")]
    NotGood,
    /// It is for later.
    #[error("it counts only from {this_update}")]
    NotYet {
        /// From when on it counts.
        this_update: Timestamp,
    },
    /// It is out of date, or does not say when it will be.
    #[error("expected a response that is current: this one {}", match .next_update {
        Some(next_update) => format!("was to be replaced by {next_update}"),
        None => "does not say when it will be replaced".to_owned(),
    })]
    Stale {
        /// When it was to be replaced.
        next_update: Option<Timestamp>,
    },
}

impl Staple {
    /// Reads a response in DER, which has to be about this certificate.
    ///
    /// # Errors
    ///
    /// Says why it is not to be stapled now.
    pub fn read(response: &[u8], certificate: &[u8], now: Timestamp) -> Result<Self, BadStaple> {
        let read = OcspResponse::from_der(response).map_err(|_| BadStaple::Unreadable)?;
        if read.status != ResponseStatus::Successful {
            return Err(BadStaple::Unsuccessful);
        }
        let bytes = read
            .bytes
            .filter(|bytes| bytes.kind == BASIC)
            .ok_or(BadStaple::Unreadable)?;
        let basic = BasicResponse::from_der(bytes.response.as_bytes()).map_err(|_| BadStaple::Unreadable)?;
        let certificate = x509::read(certificate).map_err(|_| BadStaple::OtherCertificate)?;
        let serial = without_zeros(certificate.raw_serial());
        let is_about = |single: &&SingleResponse| without_zeros(single.id.serial.as_bytes()) == serial;
        let single = basic
            .data
            .responses
            .iter()
            .find(is_about)
            .ok_or(BadStaple::OtherCertificate)?;
        if single.status.tag() != GOOD {
            return Err(BadStaple::NotGood);
        }
        let this_update = moment(&single.this_update);
        if this_update > now {
            return Err(BadStaple::NotYet { this_update });
        }
        let next_update = single.next_update.as_ref().map(moment);
        match next_update.filter(|next_update| *next_update > now) {
            Some(next_update) => Ok(Self {
                this_update,
                next_update,
            }),
            None => Err(BadStaple::Stale { next_update }),
        }
    }

    /// Since when it says what it says.
    pub fn this_update(&self) -> Timestamp {
        self.this_update
    }

    /// Until when it may be stapled.
    pub fn next_update(&self) -> Timestamp {
        self.next_update
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|octet| **octet == 0).count();
    number.get(zeros..).unwrap_or_default()
}

fn moment(time: &GeneralizedTime) -> Timestamp {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_millis(seconds.saturating_mul(1000))
}

/// RFC 6960, section 4.2.1; what is not looked at is read as whatever it is.
#[derive(Sequence)]
struct OcspResponse {
    status: ResponseStatus,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    bytes: Option<ResponseBytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enumerated)]
#[repr(u8)]
enum ResponseStatus {
    Successful = 0,
    MalformedRequest = 1,
    InternalError = 2,
    TryLater = 3,
    SigRequired = 5,
    Unauthorized = 6,
}

#[derive(Sequence)]
struct ResponseBytes {
    kind: ObjectIdentifier,
    response: OctetString,
}

#[derive(Sequence)]
struct BasicResponse {
    data: ResponseData,
    algorithm: Any,
    signature: BitString,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    certificates: Option<Any>,
}

#[derive(Sequence)]
struct ResponseData {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    version: Option<Int>,
    responder: Any,
    produced_at: GeneralizedTime,
    responses: Vec<SingleResponse>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Any>,
}

#[derive(Sequence)]
struct SingleResponse {
    id: CertificateId,
    status: Any,
    this_update: GeneralizedTime,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    next_update: Option<GeneralizedTime>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Any>,
}

#[derive(Sequence)]
struct CertificateId {
    algorithm: Any,
    name_hash: OctetString,
    key_hash: OctetString,
    serial: Int,
}

/// id-pkix-ocsp-basic (RFC 6960, section 4.2.1).
const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");

/// The status `good`: an implicit NULL.
const GOOD: Tag = Tag::ContextSpecific {
    constructed: false,
    number: TagNumber(0),
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ca::Purpose;
    use crate::samples::{NOW, authority};

    #[test]
    fn what_is_no_response_is_refused() {
        let certificate = authority(Purpose::Server);
        for response in [b"".as_slice(), b"-----BEGIN", &[0x30, 0x03, 0x0a, 0x01, 0x00]] {
            let read = Staple::read(response, certificate.certificate_der(), NOW);
            assert_eq!(read, Err(BadStaple::Unreadable), "{response:?}");
        }
        let busy = [0x30, 0x03, 0x0a, 0x01, 0x03];
        let read = Staple::read(&busy, certificate.certificate_der(), NOW);
        assert_eq!(read, Err(BadStaple::Unsuccessful));
    }

    proptest! {
        #[test]
        fn no_bytes_upset_it(response in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Staple::read(&response, &response, NOW).is_err());
        }
    }
}
