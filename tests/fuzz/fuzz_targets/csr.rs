#![no_main]
//! Do any octets pass for a certificate request? The first one tells PEM (`t`) from DER.

use certs::VerifiedRequest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Some((kind, rest)) = octets.split_first() else {
        return;
    };
    let request = match kind {
        b't' => VerifiedRequest::parse_pem(&String::from_utf8_lossy(rest)),
        _ => VerifiedRequest::parse_der(rest),
    };
    if let Ok(request) = request {
        let _ = (request.key(), request.p256_key());
    }
});
