//! What do these octets hold, in order? TPM 2.0 writes numbers big-endian and buffers behind their length (part 2, 4.2).

/// Says why octets are not the expected TPM structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Something is missing.
    #[error("the structure ends early")]
    Short,
    /// Something is too many.
    #[error("{0} octets follow the structure")]
    Trailing(usize),
    /// A buffer is longer than what it holds can be.
    #[error("{field} has {length} octets")]
    Length {
        /// What the buffer holds.
        field: &'static str,
        /// How long it is.
        length: usize,
    },
    /// A value that is not on the list of what is taken.
    #[error("{field} is {value:#x}, which is not taken")]
    Unsupported {
        /// What it is the value of.
        field: &'static str,
        /// The value.
        value: u32,
    },
    /// The numbers are no key.
    #[error("the public key is none: it is not on its curve, or no RSA modulus")]
    Key,
    /// The numbers are no signature.
    #[error("r and s are out of range, or not in DER")]
    Signature,
}

/// Reads from the front; [`Reader::end`] says that nothing is left.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// A sized buffer (TPM2B) of at most so many octets.
    pub(super) fn buffer(&mut self, field: &'static str, most: usize) -> Result<&'a [u8], Malformed> {
        let length = usize::from(self.u16()?);
        if length > most {
            return Err(Malformed::Length { field, length });
        }
        let (buffer, rest) = self.0.split_at_checked(length).ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(buffer)
    }

    /// A sized buffer with a number of at most 32 octets, to which leading zeros are given back.
    pub(super) fn number(&mut self, field: &'static str) -> Result<[u8; 32], Malformed> {
        let digits = self.buffer(field, 32)?;
        let mut number = [0; 32];
        let places = number.iter_mut().rev().zip(digits.iter().rev());
        places.for_each(|(place, digit)| *place = *digit);
        Ok(number)
    }

    pub(super) fn end(self) -> Result<(), Malformed> {
        match self.0.len() {
            0 => Ok(()),
            more => Err(Malformed::Trailing(more)),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(*array)
    }
}
