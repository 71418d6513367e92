//! What does a TPM say of a key? A TPMS_ATTEST (part 2, section 10.12.8) that TPM2_Certify made.

use super::reader::{Malformed, Reader};

/// What is read of it; the TPM's clock and firmware are nobody's business here.
pub(super) struct Certification<'a> {
    /// What the TPM was asked to cover.
    pub(super) qualifying: &'a [u8],
    /// The name of the key.
    pub(super) name: &'a [u8],
}

impl<'a> Certification<'a> {
    /// Reads a TPMS_ATTEST with a TPMS_CERTIFY_INFO (section 10.12.3) and nothing else.
    pub(super) fn parse(octets: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(octets);
        expect("magic", reader.u32()?, TPM_GENERATED)?;
        expect("type", reader.u16()?.into(), CERTIFY)?;
        // The qualified signer tells hierarchies apart; the AK is known by its activation.
        reader.buffer("qualifiedSigner", LONGEST_NAME)?;
        let qualifying = reader.buffer("extraData", LONGEST_NAME)?;
        // TPMS_CLOCK_INFO (section 10.11.1), then the firmware's version.
        reader.u64()?;
        reader.u32()?;
        reader.u32()?;
        match reader.u8()? {
            0 | 1 => {}
            other => expect("safe", other.into(), 1)?,
        }
        reader.u64()?;
        let name = reader.buffer("name", LONGEST_NAME)?;
        reader.buffer("qualifiedName", LONGEST_NAME)?;
        reader.end()?;
        Ok(Self { qualifying, name })
    }
}

fn expect(field: &'static str, value: u32, expected: u32) -> Result<(), Malformed> {
    if value == expected {
        Ok(())
    } else {
        Err(Malformed::Unsupported { field, value })
    }
}

/// TPM_GENERATED_VALUE (section 6.2): only the TPM itself signs what begins so with a restricted key.
pub(super) const TPM_GENERATED: u32 = 0xff54_4347;
/// TPM_ST_ATTEST_CERTIFY (section 6.9).
pub(super) const CERTIFY: u32 = 0x8017;
/// A hash's identifier and SHA-512's 64 octets (sections 10.4.3 and 10.5.3).
const LONGEST_NAME: usize = 2 + 64;
