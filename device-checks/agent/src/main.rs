//! `latchkey-agent`: the device side of the access gateway.

use std::process::ExitCode;
use std::time::SystemTime;

use device_checks::wire::Timestamp;

fn main() -> ExitCode {
    quiet_tpm_library();
    latchkey_agent::cli::main(now)
}

/// The only place that asks the system what time it is.
fn now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// The TPM's library writes each failure to standard error, where the agent says them in words.
fn quiet_tpm_library() {
    const VARIABLE: &str = "TSS2_LOG";
    if cfg!(feature = "tpm") && std::env::var_os(VARIABLE).is_none() {
        // SAFETY: nothing else runs in this process yet, so nobody reads the environment meanwhile.
        #[expect(unsafe_code, reason = "the library is told so by the environment alone")]
        unsafe {
            std::env::set_var(VARIABLE, "all+none");
        }
    }
}
