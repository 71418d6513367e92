#![no_main]
//! Does any text pass for a certificate request? The first octet tells PEM (`t`) from what is to be put in PEM.

use certs::VerifiedRequest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Some((kind, rest)) = octets.split_first() else {
        return;
    };
    let text = match kind {
        b't' => String::from_utf8_lossy(rest).into_owned(),
        _ => pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", rest)),
    };
    if let Ok(request) = VerifiedRequest::parse_pem(&text) {
        let _ = request.key();
    }
});
