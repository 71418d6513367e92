//! What do the pages say? Everything in one place: another language is another [`Texts`], and the compiler sees that
//! nothing is missing.

mod english;
mod german;

use std::borrow::Cow;

use directory::{EventType, Factor};
use policies::Reason;
use serde::Serialize;
use time::Month;

pub(crate) use english::ENGLISH;
pub(crate) use german::GERMAN;

/// Declares the texts of each page.
macro_rules! texts {
    ($($(#[doc = $doc:literal])* $page:ident: $of_page:ident { $($name:ident,)* })*) => {
        /// Everything that pages say.
        #[derive(Serialize)]
        pub(crate) struct Texts { $($(#[doc = $doc])* pub(crate) $page: $of_page,)* }

        $(
            $(#[doc = $doc])*
            #[derive(Serialize)]
            #[serde(rename_all = "camelCase")]
            pub(crate) struct $of_page { $(pub(crate) $name: &'static str,)* }
        )*
    };
}

texts! {
    /// What several pages say.
    common: CommonTexts {
        language, own_name, request, request_and_code, request_id, opening, username, change, another_account,
        another_way, device_test, sign_in, sign_out, continue_on, signed_in_as, rule, wait_before, wait_after,
        languages, help, browser_on, unknown_browser,
    }
    /// The page that asks for the username.
    identify: IdentifyTexts {
        title, placeholder, missing,
    }
    /// Why somebody is asked to sign in.
    notices: NoticeTexts {
        signed_out_title, signed_out_text, session_ended_title, session_ended_text, device_shut_out_title,
        device_shut_out_text, device_failed_title, device_failed_text, device_added_title, device_added_text,
    }
    /// The page that offers ways to sign in.
    methods: MethodsTexts {
        title, device, device_hint, password, password_hint, totp, totp_hint, webauthn, webauthn_hint, email,
        email_hint, recovery, recovery_hint, push, push_hint, none, device_needs_script,
    }
    /// The page that asks for the password.
    password: PasswordTexts {
        title, label, wrong, too_many_title,
    }
    /// The page that asks for a code.
    code: CodeTexts {
        title, lead, label, wrong, too_many_title,
    }
    /// The pages for signing in by mail.
    email: EmailTexts {
        title, lead, send, code_title, code_lead, label, wrong, again, link_title, link_lead, elsewhere_title,
        elsewhere_lead, elsewhere_stranger,
    }
    /// The page that asks for a recovery code.
    recovery: RecoveryTexts {
        title, lead, label, wrong,
    }
    /// The pages that make recovery codes.
    recovery_codes: RecoveryCodesTexts {
        title, lead, left_before, left_text, make, made_title, made_lead, kept,
    }
    /// The letter with a code and a link.
    mail: MailTexts {
        subject, lead, link, lifetime_before, lifetime_after, asked, by, from, stranger,
        unknown_browser,
    }
    /// The pages that have another device asked.
    push: PushTexts {
        title, lead, ask, wait_title, wait_lead, number_lead, answered, again, not_yet_title, not_yet_text,
        refused_title, refused_text, over_title, over_text, not_taken_title, not_taken_text,
    }
    /// What happens between the page and the device.
    device: DeviceTexts {
        page_title, try_again, no_script, looking_title, looking_text, prompt_title, prompt_text, confirm_title,
        confirm_text, pin_title, pin_text, approved_title, approved_text, denied_title, denied_text, absent_title,
        absent_text, other_title, other_text, foreign_title, foreign_text, enrolling_title, enrolling_text,
        blocked_title, blocked_text, no_account_title, no_account_text, which_account_title, which_account_text,
        bad_challenge_title, bad_challenge_text, busy_title, busy_text, not_taken_title, not_taken_text, failed_title,
        failed_text, timed_out_title, timed_out_text, lost_title, lost_text, unreachable_title, unreachable_text,
    }
    /// The pages that ask for a security key or passkey, and add one.
    webauthn: WebauthnTexts {
        page_title, try_again, no_script, asking_title, asking_text, checking_title, checking_text, done_title,
        done_text, cancelled_title, cancelled_text, known_title, known_text, failed_title, failed_text,
        unsupported_title, unsupported_text, none_title, none_text, too_late_title, too_late_text, too_many_title,
        too_many_text, not_taken_title, not_taken_text, not_added_title, not_added_text, not_attested_title,
        not_attested_text, bad_name_title, bad_name_text, unreachable_title, unreachable_text, add_title, add_lead,
        add, name, usual_name, name_hint, back,
    }
    /// The page for somebody who is signed in, but not well enough.
    step_up: StepUpTexts {
        title, lead_after, offers,
    }
    /// The page for somebody whom nothing lets in.
    nothing_helps: NothingHelpsTexts {
        title_before, lead, again,
    }
    /// One's own account.
    account: AccountTexts {
        nav, overview, devices, factors, sessions, activity, renamed, removed, ended, changed, changed_text, added,
        key_added, last, last_text, shut_out, shut_out_text, bad_name, gone, gone_text, back, remove, cancel,
        remove_before, remove_after,
    }
    /// One's own devices.
    devices: DevicesTexts {
        title, lead, rename, name, save, hardware, hardware_proved, hardware_unproved, key, key_in_hardware,
        key_in_software, verification, in_hardware, in_software, fingerprint, face, without, change_how, change_verification, added,
        reported, said_nothing, on, off, disk, lock, firewall, boot, antivirus, shut_out, consequence,
    }
    /// Where one is signed in.
    sessions: SessionsTexts {
        title, lead, here, address, since, seen, by, end, end_others, everywhere,
    }
    /// What one signs in with.
    factors: FactorsTexts {
        title, lead, released_title, released_text, password, totp, fastpass, webauthn, push, email, recovery, keys,
        codes, codes_text, codes_left, make_codes, devices, none, set_since, added, last_used, never_used, change,
        set, add, replace, add_key, one_device, some_devices, show_devices, consequence,
    }
    /// The page that asks for another password.
    change_password: ChangePasswordTexts {
        title, title_first, lead, label, hint, again, save, differ, too_short, too_long, busy,
    }
    /// The page that sets up an authenticator app.
    add_totp: AddTotpTexts {
        title, title_replace, scan, picture, by_hand, open, confirm, label, save, wrong,
    }
    /// What happened lately.
    activity: ActivityTexts {
        title, lead, none, failed, from, admin, somebody, device, system, signed_in, session_ended, proved,
        not_proved, suspicious, password, factor_added, factor_removed, factor_renamed, factor_paused, factor_back,
        release, release_used, device_enrolled, device_renamed, device_removed, device_linked, device_shut_out,
        device_suspended, device_back, device_deleted, token, account_made, account_changed, account_suspended,
        account_back, account_closed, groups, certificate_revoked,
    }
    /// What is said where a factor may not be changed.
    manage: ManageTexts {
        account, title, lead, nothing, prove, back,
    }
    /// The page after signing out.
    signed_out: SignedOutTexts {
        title, here, everywhere, again,
    }
    /// The auth host’s first page.
    home: HomeTexts {
        title, since, all_devices, all_sessions, devices, no_devices, device, standing, last_proof, never, managed,
        registered, shut_out, current, added, add, sessions, one_session, sessions_before, sessions_after, everywhere,
    }
    /// Pages that say no.
    refusals: RefusalTexts {
        sign_in_title, sign_in_lead, sign_in_again, device_title, device_lead, device_again, nowhere_title,
        nowhere_lead, nowhere_link,
    }
    /// Why a session has ended.
    ends: EndTexts {
        title_shut_out, title_suspended, title_unknown, title_removed, title_inactive, title_signed_out, title_ended,
        device_deactivated, device_suspended, device_deleted, account_removed, user_inactive, signed_out,
        signed_out_everywhere, replaced, admin, factor_changed, expired, too_many,
    }
    /// Why a request does not pass, and what helps.
    denials: DenialTexts {
        rules, other_ways, ambiguous_title, host, origin, assertion, cookie, source, method, forwarded, unsettled_title, unsettled,
        misdirected_title, misdirected, method_refused_title, method_refused, cross_site_title, cross_site,
        body_too_large_title, body_too_large, sign_in_title, not_signed_in, session_over, proof_too_old_title,
        device_deactivated_title, device_deactivated, device_suspended_title, device_suspended,
        certificate_revoked_title, certificate_revoked, certificate_unknown_title, certificate_unknown,
        certificate_expired_title, certificate_expired, credentials_disagree_title, credentials_disagree,
        assertion_refused_title, assertion_refused, device_deleted_title, device_deleted, enrollment_ended_title,
        enrollment_ended, user_inactive_title, user_inactive, policy_title, forbidden, not_permitted, policy_failed,
        proxy_untrusted_title, proxy_untrusted, token_refused_title, token_refused, code_over_title, code_over,
    }
    /// Why the address of a request is not taken.
    targets: TargetTexts {
        not_origin_form, too_long, fragment, forbidden_byte, malformed_percent, forbidden_encoding, needless_encoding,
        not_utf8, parameter, empty_segment, dot_segment, moved,
    }
    /// What did not work here or at the application.
    faults: FaultTexts {
        internal_title, internal, failed, bad_gateway_title, full_title, busy_title, timeout_title, try_again, bad_request_title, bad_body,
        bad_request, slow_request_title, slow_request, too_many_title, too_many, refused_title, refused,
    }
    /// The page for what came too late.
    expired: ExpiredTexts {
        title, lead, start,
    }
    /// The page that adds a device.
    enroll: EnrollTexts {
        title, step_sign_in, step_name, step_confirm, step_done, name, name_hint, begin, try_again, no_script,
        looking_title, looking_text, prompt_title, prompt_text, proving_title, proving_text, waiting_title,
        waiting_text, asking_for_pin_title, asking_for_pin_text, identifying_title, identifying_text, beginning_title,
        beginning_text, activating_title, activating_text, making_keys_title, making_keys_text, finishing_title,
        finishing_text, done_title, done_text, failed_title, failed_text, absent_title, absent_text, other_title,
        other_text, foreign_title, foreign_text, blocked_title, blocked_text, timed_out_title, timed_out_text,
        lost_title, lost_text, unreachable_title, unreachable_text, not_this_title, not_this_text, too_old_text,
        fault_text,
    }
    /// The page that says how to add a device.
    enroll_start: EnrollStartTexts {
        title, lead, open, run, follow, missing, missing_text, copy, copied, test,
    }
    /// The page that tests the way to the agent.
    device_test: DeviceTestTexts {
        title, lead, no_script, running, again, back, what, result, time, secure, secure_yes, secure_no, permission,
        permission_granted, permission_denied, permission_prompt, permission_unknown, port, agent, enrolling, other,
        foreign, silent, slow, found_title, found_text, found_enrolling_title, found_enrolling_text, blocked_title,
        blocked_text, other_title, other_text, foreign_title, foreign_text, slow_title, slow_text, absent_title,
        absent_text, insecure_title, insecure_text,
    }
    /// How dates are written.
    dates: DateTexts {
        after_day, january, february, march, april, may, june, july, august, september, october, november, december,
    }
    /// What an advice word of a policy means to a person.
    advice: AdviceTexts {
        become_managed, register_device, prove_device, enroll_hardware_key, sign_in_device, sign_in_device_uv,
        sign_in_again, sign_in_strongest, sign_in_second_factor, contact_admin, fix_disk, fix_standard,
    }
}

impl Texts {
    /// What a factor is called.
    pub(crate) const fn factor(&self, factor: Factor) -> &'static str {
        match factor {
            Factor::Password => self.factors.password,
            Factor::Totp => self.factors.totp,
            Factor::Fastpass => self.factors.fastpass,
            Factor::Webauthn => self.factors.webauthn,
            Factor::Push => self.factors.push,
            Factor::Email => self.factors.email,
            Factor::Recovery => self.factors.recovery,
        }
    }

    /// What an event of the System Log is for the user whom it concerns; nothing where it says them nothing.
    pub(crate) const fn happened(&self, event: EventType, succeeded: bool) -> Option<&'static str> {
        let texts = &self.activity;
        Some(match event {
            EventType::SessionStart => texts.signed_in,
            EventType::SessionEnd => texts.session_ended,
            EventType::Authenticate if succeeded => texts.proved,
            EventType::Authenticate => texts.not_proved,
            EventType::SuspiciousActivity => texts.suspicious,
            EventType::PasswordSet => texts.password,
            EventType::FactorActivate => texts.factor_added,
            EventType::FactorDeactivate => texts.factor_removed,
            EventType::FactorUpdate => texts.factor_renamed,
            EventType::FactorSuspend => texts.factor_paused,
            EventType::FactorUnsuspend => texts.factor_back,
            EventType::ReleaseCreate => texts.release,
            EventType::ReleaseUse => texts.release_used,
            EventType::DeviceEnroll => texts.device_enrolled,
            EventType::DeviceUpdate => texts.device_renamed,
            EventType::DeviceUserAdd => texts.device_linked,
            EventType::DeviceUserRemove => texts.device_removed,
            EventType::DeviceDeactivate => texts.device_shut_out,
            EventType::DeviceSuspend => texts.device_suspended,
            EventType::DeviceActivate | EventType::DeviceUnsuspend => texts.device_back,
            EventType::DeviceDelete => texts.device_deleted,
            EventType::EnrollmentTokenCreate => texts.token,
            EventType::UserCreate => texts.account_made,
            EventType::UserUpdate => texts.account_changed,
            EventType::UserSuspend => texts.account_suspended,
            EventType::UserActivate | EventType::UserUnsuspend => texts.account_back,
            EventType::UserDeactivate | EventType::UserDelete => texts.account_closed,
            EventType::GroupMemberAdd | EventType::GroupMemberRemove => texts.groups,
            EventType::CertificateRevoke => texts.certificate_revoked,
            EventType::GroupCreate
            | EventType::GroupUpdate
            | EventType::GroupDelete
            | EventType::SubgroupAdd
            | EventType::SubgroupRemove
            | EventType::DeviceReport
            | EventType::DeviceReportWithdraw
            | EventType::DeviceSignals
            | EventType::CertificateIssue
            | EventType::CertificateHold
            | EventType::CertificateRelease
            | EventType::ManagementBind
            | EventType::ManagementUnbind
            | EventType::ApiTokenCreate
            | EventType::ApiTokenRevoke
            | EventType::OrganizationCreate
            | EventType::SettingsUpdate => return None,
        })
    }

    /// What an advice word of a policy means to a person; a word that is not ours stands for itself.
    pub(crate) fn help<'a>(&self, advice: &'a str) -> &'a str {
        let texts = &self.advice;
        match advice {
            "become-managed" => texts.become_managed,
            "register-device" => texts.register_device,
            "prove-device" => texts.prove_device,
            "enroll-hardware-key" => texts.enroll_hardware_key,
            "sign-in-device" => texts.sign_in_device,
            "sign-in-device-uv" => texts.sign_in_device_uv,
            "sign-in-again" => texts.sign_in_again,
            "sign-in-strongest" => texts.sign_in_strongest,
            "sign-in-second-factor" => texts.sign_in_second_factor,
            "contact-admin" => texts.contact_admin,
            "fix-posture:disk" => texts.fix_disk,
            "fix-posture:standard" => texts.fix_standard,
            other => other,
        }
    }

    /// What a browser is called that calls itself so: `Chrome on Linux`; `unknown` where nothing is known of it.
    fn called<'a>(&self, browser: &'a str, unknown: &'static str) -> Cow<'a, str> {
        match browser.split_once(BROWSER_ON) {
            _ if browser == UNKNOWN_BROWSER => unknown.into(),
            Some((browser, system)) => format!("{browser} {} {system}", self.common.browser_on).into(),
            None => browser.into(),
        }
    }

    /// What a browser is called in a list.
    pub(crate) fn browser<'a>(&self, browser: &'a str) -> Cow<'a, str> {
        self.called(browser, self.common.unknown_browser)
    }

    /// What a browser is called in a letter.
    pub(crate) fn browser_in_letter<'a>(&self, browser: &'a str) -> Cow<'a, str> {
        self.called(browser, self.mail.unknown_browser)
    }

    /// What a reason says in this language: what the gateway says itself is there in each; what a policy's author wrote stands
    /// as it is, unless they wrote it for this language too.
    pub(crate) fn reason<'a>(&self, reason: &'a Reason) -> &'a str {
        let message = reason.said_in(self.common.language);
        let own = own_messages(&ENGLISH.denials);
        let found = own
            .iter()
            .zip(own_messages(&self.denials))
            .find(|(own, _)| **own == message);
        found.map_or(message, |(_, said)| said)
    }

    /// What a month is called.
    pub(crate) const fn month(&self, month: Month) -> &'static str {
        let texts = &self.dates;
        match month {
            Month::January => texts.january,
            Month::February => texts.february,
            Month::March => texts.march,
            Month::April => texts.april,
            Month::May => texts.may,
            Month::June => texts.june,
            Month::July => texts.july,
            Month::August => texts.august,
            Month::September => texts.september,
            Month::October => texts.october,
            Month::November => texts.november,
            Month::December => texts.december,
        }
    }
}

/// What reasons may say whose author is no policy.
const fn own_messages(texts: &DenialTexts) -> [&'static str; 11] {
    [
        texts.forbidden,
        texts.not_permitted,
        texts.policy_failed,
        texts.device_deactivated,
        texts.device_suspended,
        texts.device_deleted,
        texts.certificate_revoked,
        texts.certificate_unknown,
        texts.certificate_expired,
        texts.enrollment_ended,
        texts.user_inactive,
    ]
}

/// Between the names of a browser and of its system, as sessions remember them.
pub(crate) const BROWSER_ON: &str = " on ";

/// How sessions remember a browser of which nothing is known.
pub(crate) const UNKNOWN_BROWSER: &str = "an unknown browser";

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_is_said_in_one_language_is_said_in_the_other() {
        let (english, german) = (
            serde_json::to_value(&ENGLISH).unwrap(),
            serde_json::to_value(&GERMAN).unwrap(),
        );
        let mut compared = 0;
        for (page, texts) in english.as_object().unwrap() {
            for (name, text) in texts.as_object().unwrap() {
                let (text, other) = (text.as_str().unwrap(), german[page][name].as_str().unwrap());
                let key = format!("{page}.{name}");
                let is_known = |list: &[&str]| list.contains(&key.as_str());
                assert_eq!(text == other, is_known(&ALIKE), "{key}: `{text}` and `{other}`");
                assert_eq!(text.is_empty(), is_known(&EMPTY_IN_ENGLISH), "{key} in English");
                assert_eq!(other.is_empty(), is_known(&EMPTY), "{key} in German");
                for command in [
                    "latchkey-agent run",
                    "latchkey-agent doctor",
                    "127.0.0.1",
                    "systemctl --user start",
                ] {
                    assert_eq!(
                        text.contains(command),
                        other.contains(command),
                        "{page}.{name}: {command}"
                    );
                }
                compared += 1;
            }
        }
        assert!(compared > 300);
        assert!(matches!(german["common"]["language"], Value::String(ref tag) if tag == "de"));
    }

    #[test]
    fn what_reasons_say_without_an_author_is_said_in_the_language_of_the_page() {
        for message in [policies::FORBIDDEN, policies::NOT_PERMITTED, policies::FAILED] {
            let reason = reason(message, &[]);
            assert_eq!(ENGLISH.reason(&reason), message);
            assert_ne!(GERMAN.reason(&reason), message);
        }
    }

    #[test]
    fn what_an_author_wrote_stands_unless_they_wrote_it_for_the_language() {
        let (plain, translated) = (reason("No.", &[]), reason("No.", &[("de", "Nein.")]));
        assert_eq!((ENGLISH.reason(&plain), GERMAN.reason(&plain)), ("No.", "No."));
        assert_eq!(
            (ENGLISH.reason(&translated), GERMAN.reason(&translated)),
            ("No.", "Nein.")
        );
    }

    fn reason(message: &str, translations: &[(&str, &str)]) -> Reason {
        let translations = translations.iter().map(|(tag, text)| ((*tag).into(), (*text).into()));
        Reason {
            policy: None,
            message: message.into(),
            translations: std::sync::Arc::new(translations.collect()),
            advice: None,
        }
    }

    #[test]
    fn a_browser_is_called_as_the_language_has_it() {
        for (name, german, in_letter) in [
            ("Chrome on Linux", "Chrome unter Linux", "Chrome unter Linux"),
            ("curl", "curl", "curl"),
            (UNKNOWN_BROWSER, "Unbekannter Browser", "einem unbekannten Browser"),
        ] {
            assert_eq!(ENGLISH.browser(name), name);
            assert_eq!(ENGLISH.browser_in_letter(name), name);
            assert_eq!(GERMAN.browser(name), german);
            assert_eq!(GERMAN.browser_in_letter(name), in_letter);
        }
    }

    #[test]
    fn a_word_of_advice_that_is_not_ours_stands_for_itself() {
        assert_eq!(ENGLISH.help("contact-admin"), "Your administrator can help.");
        assert_eq!(GERMAN.help("contact-admin"), "Ihre Administration kann helfen.");
        assert_eq!(GERMAN.help("call-jim"), "call-jim");
    }

    /// What both languages call the same.
    const ALIKE: [&str; 15] = [
        "dates.april",
        "dates.august",
        "dates.september",
        "dates.november",
        "identify.placeholder",
        "notices.signedOutText",
        "methods.totp",
        "code.label",
        "webauthn.name",
        "enroll.name",
        "device_test.port",
        "devices.name",
        "devices.hardware",
        "devices.firewall",
        "add_totp.label",
    ];

    /// Where nothing is said: the title says it all, or a day needs no dot.
    const EMPTY: [&str; 1] = ["notices.signedOutText"];
    const EMPTY_IN_ENGLISH: [&str; 2] = ["notices.signedOutText", "dates.afterDay"];
}
