//! How do other programs load a TPM's key? From a TSS2 PRIVATE KEY in PEM, which OpenSSL's TPM provider reads.

use der::asn1::{ObjectIdentifier, OctetString};
use der::pem::LineEnding;
use der::{EncodePem, Sequence, pem::PemLabel};
use device_checks::wire::Octets;

use crate::keys::KeyError;
use crate::keys::software::hardware;

/// A key that a TPM can load, under the storage root key of the owner hierarchy.
pub(super) fn write(public: &Octets, private: &Octets) -> Result<String, KeyError> {
    let unfit = |source: der::Error| hardware("write a TPM key for other programs", source);
    let key = TpmKey {
        kind: LOADABLE,
        empty_authorization: Some(true),
        parent: OWNER,
        public: OctetString::new(sized(public)).map_err(unfit)?,
        private: OctetString::new(sized(private)).map_err(unfit)?,
    };
    key.to_pem(LineEnding::LF).map_err(unfit)
}

/// `TPMKey` of "ASN.1 Specification for TPM 2.0 Key Files", as far as it is needed.
#[derive(Sequence)]
struct TpmKey {
    kind: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    empty_authorization: Option<bool>,
    parent: u32,
    public: OctetString,
    private: OctetString,
}

impl PemLabel for TpmKey {
    const PEM_LABEL: &'static str = "TSS2 PRIVATE KEY";
}

/// A TPM2B: the length stands before.
fn sized(octets: &Octets) -> Vec<u8> {
    let length = u16::try_from(octets.0.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes()[..], &octets.0].concat()
}

/// `id-loadablekey`.
const LOADABLE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.10.1.3");
/// TPM_RH_OWNER: whoever loads the key makes the storage root key first.
const OWNER: u32 = 0x4000_0001;
