//! What do the pages say? Everything in one place: another language is another [`Texts`], and the compiler sees that
//! nothing is missing.

use directory::{EventType, Factor};
use serde::Serialize;

/// Declares the texts of each page and what they are in English.
macro_rules! texts {
    ($($(#[doc = $doc:literal])* $page:ident: $of_page:ident { $($name:ident: $english:literal,)* })*) => {
        /// Everything that pages say.
        pub(crate) struct Texts { $($(#[doc = $doc])* pub(crate) $page: $of_page,)* }

        $(
            $(#[doc = $doc])*
            #[derive(Serialize)]
            #[serde(rename_all = "camelCase")]
            pub(crate) struct $of_page { $(pub(crate) $name: &'static str,)* }
        )*

        /// Everything in English.
        pub(crate) static ENGLISH: Texts = Texts { $($page: $of_page { $($name: $english,)* },)* };
    };
}

texts! {
    /// What several pages say.
    common: CommonTexts {
        language: "en",
        product: "Latchkey",
        request: "If you ask for help, name request",
        request_and_code: "If you ask for help, name",
        request_id: "request",
        opening: "to open",
        username: "Username",
        change: "Not you?",
        another_account: "Use another account",
        another_way: "Sign in another way",
        device_test: "My device is not found",
        sign_in: "Sign in",
        sign_out: "Sign out",
        continue_on: "Continue",
        signed_in_as: "Signed in as",
        rule: "Rule",
        wait_before: "Try again in",
        wait_after: "seconds.",
    }
    /// The page that asks for the username.
    identify: IdentifyTexts {
        title: "Sign in",
        placeholder: "name@example.com",
        missing: "Type your username.",
    }
    /// Why somebody is asked to sign in.
    notices: NoticeTexts {
        signed_out_title: "You are signed out",
        signed_out_text: "",
        session_ended_title: "Your session has ended",
        session_ended_text: "Sign in again to go on.",
        device_shut_out_title: "This device was shut out",
        device_shut_out_text: "You can sign in another way where an application allows it. Your administrator can release the device.",
        device_failed_title: "That did not work",
        device_failed_text: "Try again, or choose another way.",
        device_added_title: "Your device was added",
        device_added_text: "From now on you can sign in with it.",
    }
    /// The page that offers ways to sign in.
    methods: MethodsTexts {
        title: "Choose how to sign in",
        device: "This device",
        device_hint: "Confirm on the device you are using",
        password: "Password",
        password_hint: "Type your password",
        totp: "Code",
        totp_hint: "Type a code from your authenticator app",
        webauthn: "Security key or passkey",
        webauthn_hint: "Touch your key, or use the passkey of your phone or computer",
        email: "E-mail",
        email_hint: "Have a code sent to your address",
        recovery: "Recovery code",
        recovery_hint: "Use one of the codes you kept for this",
        push: "Another device",
        push_hint: "Approve on a device you have added before",
        none: "No way to sign in is open here at the moment. Your administrator can help.",
        device_needs_script: "“This device” needs JavaScript, which is off in this browser.",
    }
    /// The page that asks for the password.
    password: PasswordTexts {
        title: "Type your password",
        label: "Password",
        wrong: "Username and password do not go together. Try again.",
        too_many_title: "Too many attempts",
    }
    /// The page that asks for a code.
    code: CodeTexts {
        title: "Type your code",
        lead: "Open your authenticator app and type the six digits it shows for this account.",
        label: "Code",
        wrong: "This code is not right, or was used already. Wait for the next one.",
        too_many_title: "Too many attempts",
    }
    /// The pages for signing in by mail.
    email: EmailTexts {
        title: "Sign in by e-mail",
        lead: "We send a code to the address that we have for this account. Keep this browser open meanwhile.",
        send: "E-mail a code",
        code_title: "Look into your mail",
        code_lead: "If this account can sign in by e-mail, a letter is on its way. Type the code in it, or open its link in this browser. Both are good for ten minutes.",
        label: "Code from the letter",
        wrong: "This code is not right, was used already, or is too old. Have another one sent if need be.",
        again: "Send another one",
        link_title: "Sign in by e-mail",
        link_lead: "You opened the link in your letter. Go on only if you asked for it yourself.",
        elsewhere_title: "This link does nothing here",
        elsewhere_lead: "Open it in the browser you began in, or type the code there. It is good for ten minutes, once, and the newest one alone.",
        elsewhere_stranger: "If you did not ask for it, close this page: nobody was signed in.",
    }
    /// The page that asks for a recovery code.
    recovery: RecoveryTexts {
        title: "Use a recovery code",
        lead: "Type one of the codes that you kept for the day on which nothing else works. Each works once.",
        label: "Recovery code",
        wrong: "This code is not right, or was used already.",
    }
    /// The pages that make recovery codes.
    recovery_codes: RecoveryCodesTexts {
        title: "New recovery codes",
        lead: "You get ten codes. Each signs you in once, beside your password, when you have nothing else. Keep them on paper, not on a device.",
        left_before: "Codes that you have left:",
        left_text: "They no longer count once you have new ones.",
        make: "Make new codes",
        made_title: "Your recovery codes",
        made_lead: "They are shown this once. Write them down or print this page.",
        kept: "I have kept them",
    }
    /// The letter with a code and a link.
    mail: MailTexts {
        subject: "Sign in to",
        lead: "Type this code where you are signing in, to open",
        link: "Or open this link in the same browser:",
        lifetime_before: "Both are good for",
        lifetime_after: "minutes, once.",
        asked: "It was asked for on",
        by: "by",
        from: "from",
        stranger: "If that was not you, do nothing: without the code nobody gets in. Give it to nobody, whoever asks. If letters like this keep coming, tell your administrator.",
    }
    /// The pages that have another device asked.
    push: PushTexts {
        title: "Use another device",
        lead: "A device of yours that you added before, and on which Latchkey runs, will ask you to approve.",
        ask: "Ask my other devices",
        wait_title: "Approve on your other device",
        wait_lead: "This page goes on by itself once you have answered. If no device asks, choose another way.",
        number_lead: "Type this number there:",
        answered: "I have answered",
        again: "Nothing arrives",
        not_yet_title: "Nobody has answered yet",
        not_yet_text: "Answer on your other device, then go on here.",
        refused_title: "It was not approved",
        refused_text: "Somebody said no, or the number was wrong. Nobody was signed in.",
        over_title: "That took too long",
        over_text: "Nothing was approved in time. Try again, or choose another way.",
        not_taken_title: "The approval was not accepted",
        not_taken_text: "The device may have been shut out meanwhile. Try again, or choose another way.",
    }
    /// What happens between the page and the device.
    device: DeviceTexts {
        page_title: "Sign in with this device",
        try_again: "Try again",
        no_script: "To reach your device this page needs JavaScript, which is off in this browser. Choose another way, or turn it on.",
        looking_title: "Looking for your device",
        looking_text: "This takes a moment.",
        prompt_title: "Your browser has a question",
        prompt_text: "It asks whether this page may reach apps on this device. Allow it to go on.",
        confirm_title: "Confirm on your device",
        confirm_text: "Your device shows who asks and for what.",
        pin_title: "Confirm on your device",
        pin_text: "Your device asks for your PIN or fingerprint.",
        approved_title: "Confirmed",
        approved_text: "Signing you in.",
        denied_title: "You said no on your device",
        denied_text: "Nobody was signed in. If you did not ask for this, tell your administrator.",
        absent_title: "Your device was not found",
        absent_text: "Latchkey is not running on this device, or something keeps your browser from reaching it. Start it and try again.",
        other_title: "Latchkey runs here for somebody else",
        other_text: "Another user of this computer has it running. Start it under your own account and try again.",
        foreign_title: "This device belongs elsewhere",
        foreign_text: "Latchkey runs here for another organisation. Add this device first, or choose another way.",
        enrolling_title: "This device is still being added",
        enrolling_text: "Finish adding it, then try again.",
        blocked_title: "Your browser blocks the way to your device",
        blocked_text: "Click the icon left of the address, allow access to apps on this device, and try again.",
        no_account_title: "This device is not set up for you",
        no_account_text: "Add the device for this account first, or choose another way.",
        which_account_title: "Which account?",
        which_account_text: "This device is set up for several. Go back and type your username.",
        bad_challenge_title: "Your device did not accept the question",
        bad_challenge_text: "It may have come too late. Check the time on this device and try again.",
        busy_title: "Your device has another question open",
        busy_text: "Answer that one first, then try again.",
        not_taken_title: "Your device’s answer did not arrive",
        not_taken_text: "It could not reach the gateway, or was not accepted there. Try again.",
        failed_title: "Your device could not sign",
        failed_text: "One of its keys does not work. Run latchkey-agent doctor on it, or choose another way.",
        timed_out_title: "That took too long",
        timed_out_text: "Nothing was confirmed on your device in time. Try again.",
        lost_title: "The connection to your device broke off",
        lost_text: "Latchkey may have been closed. Start it and try again.",
        unreachable_title: "The gateway does not answer",
        unreachable_text: "Check your network and try again.",
    }
    /// The pages that ask for a security key or passkey, and add one.
    webauthn: WebauthnTexts {
        page_title: "Use your security key or passkey",
        try_again: "Try again",
        no_script: "To reach your key this page needs JavaScript, which is off in this browser.",
        asking_title: "Your browser asks for your key",
        asking_text: "Follow what it shows: touch your key, or unlock your passkey.",
        checking_title: "Checking your key",
        checking_text: "This takes a moment.",
        done_title: "Done",
        done_text: "You are on your way.",
        cancelled_title: "No key answered",
        cancelled_text: "It was cancelled, took too long, or there is no key here for this account. Try again.",
        known_title: "This key is registered already",
        known_text: "Choose another one, or go back.",
        failed_title: "Your key could not be used",
        failed_text: "Your browser could not ask it. Try again, or use another key.",
        unsupported_title: "This browser knows no security keys",
        unsupported_text: "Use another browser.",
        none_title: "You have no security key here yet",
        none_text: "Choose another way to sign in.",
        too_late_title: "That took too long",
        too_late_text: "The question to your key was too old, or was answered already. Try again.",
        too_many_title: "Too many attempts",
        too_many_text: "Wait a little, then try again.",
        not_taken_title: "This key was not accepted",
        not_taken_text: "Nobody was signed in. Try again, or choose another way.",
        not_added_title: "Your key was not added",
        not_added_text: "Its answer was not accepted. Try again.",
        not_attested_title: "Keys of this kind are not accepted",
        not_attested_text: "Your company allows certain models only. Your administrator can tell you which.",
        bad_name_title: "Another name, please",
        bad_name_text: "Give the key a name of 1 to 255 characters.",
        unreachable_title: "The gateway does not answer",
        unreachable_text: "Check your network and try again.",
        add_title: "Add a security key or passkey",
        add_lead: "Your browser asks where to keep it: on a key that you plug in, on this computer, or on your phone.",
        add: "Add it",
        name: "Name",
        usual_name: "Security key",
        name_hint: "You will know it by this name.",
        back: "Back without adding",
    }
    /// The page for somebody who is signed in, but not well enough.
    step_up: StepUpTexts {
        title: "One more step",
        lead_after: "asks for more than how you signed in:",
        offers: "This will do:",
    }
    /// The page for somebody whom nothing lets in.
    nothing_helps: NothingHelpsTexts {
        title_before: "You cannot open",
        lead: "The rules for this application stand in the way:",
        again: "Check again",
    }
    /// One's own account.
    account: AccountTexts {
        nav: "Your account",
        overview: "Overview",
        devices: "Devices",
        factors: "Ways to sign in",
        sessions: "Sessions",
        activity: "Recent activity",
        renamed: "The new name is in use",
        removed: "It was removed",
        ended: "What you chose has ended",
        changed: "Your password was changed",
        changed_text: "Whoever was signed in with the old one is signed out.",
        added: "Your authenticator app was added",
        key_added: "Your security key or passkey was added",
        last: "This is the last way in that you have",
        last_text: "Nothing was removed. Add another way to sign in first: a device, a security key or a password.",
        shut_out: "An administrator shut this device out",
        shut_out_text: "Nothing was changed. It stays as it is until your administrator releases it.",
        bad_name: "That is no name: 1 to 255 characters, none of them a control character",
        gone: "There is nothing here",
        gone_text: "It was removed meanwhile, or never was yours.",
        back: "Back to your account",
        remove: "Remove",
        cancel: "Cancel",
        remove_title: "Remove",
    }
    /// One's own devices.
    devices: DevicesTexts {
        title: "Your devices",
        lead: "What Latchkey knows of each device that can sign you in.",
        rename: "Rename",
        name: "Name",
        save: "Save",
        hardware: "Hardware",
        hardware_proved: "Proved to be secure",
        hardware_unproved: "Not proved",
        key: "Key",
        key_in_hardware: "In the hardware, proved",
        key_in_software: "In software",
        verification: "Confirming",
        in_hardware: "PIN or fingerprint, kept by the hardware",
        in_software: "PIN or fingerprint, asked for by software",
        without: "Without PIN or fingerprint",
        change_how: "Change how you confirm",
        change_verification: "To change how you confirm, run this on the device and choose again:",
        added: "Added",
        reported: "The device says",
        said_nothing: "Nothing yet",
        on: "on",
        off: "off",
        disk: "Disk encryption",
        lock: "Screen lock",
        firewall: "Firewall",
        boot: "Secure boot",
        antivirus: "Virus protection",
        shut_out: "Your administrator shut this device out. You can neither rename nor remove it.",
        consequence: "It can no longer sign you in. Sessions that it began end, this one too if it is among them.",
    }
    /// Where one is signed in.
    sessions: SessionsTexts {
        title: "Your sessions",
        lead: "Where you are signed in. End what you do not know.",
        here: "This one",
        address: "From",
        since: "since",
        seen: "last used",
        by: "by",
        end: "End",
        end_others: "End all others",
        everywhere: "Sign out everywhere",
    }
    /// What one signs in with.
    factors: FactorsTexts {
        title: "Ways to sign in",
        lead: "Before you change one, you confirm with the strongest that you have.",
        released_title: "Your administrator released you to set up one new way",
        released_text: "Until",
        password: "Password",
        totp: "Authenticator app",
        fastpass: "Device",
        webauthn: "Security key",
        push: "Push to a device",
        email: "Mail",
        recovery: "Recovery code",
        keys: "Security keys and passkeys",
        codes: "Recovery codes",
        codes_text: "For the day on which you have nothing else. Keep them on paper.",
        codes_left: "Left:",
        make_codes: "New recovery codes",
        devices: "Devices",
        none: "None yet",
        set_since: "Set",
        added: "Added",
        last_used: "last used",
        never_used: "not used yet",
        change: "Change",
        set: "Set a password",
        add: "Add",
        replace: "Replace",
        add_key: "Add a security key",
        one_device: "One device signs you in.",
        some_devices: "devices sign you in.",
        show_devices: "Your devices",
        consequence: "It can no longer sign you in. Sessions that rest on it end, this one too if it is among them.",
    }
    /// The page that asks for another password.
    change_password: ChangePasswordTexts {
        title: "Change your password",
        title_first: "Set a password",
        lead: "Whoever is signed in with the old one is signed out. You go on here.",
        label: "New password",
        hint: "At least 8 characters. A few words in a row are easy to keep.",
        again: "The same again",
        save: "Save the password",
        differ: "The two are not the same. Type both again.",
        too_short: "That is too short: at least 8 characters.",
        too_long: "That is too long: at most 256 characters.",
        busy: "Too much is asked of the gateway at the moment. Try again.",
    }
    /// The page that sets up an authenticator app.
    add_totp: AddTotpTexts {
        title: "Add an authenticator app",
        title_replace: "Replace your authenticator app",
        scan: "Scan this with your app.",
        picture: "QR code with the secret for your authenticator app",
        by_hand: "No camera? Type this into the app:",
        open: "Open it in an app on this device",
        confirm: "Then type the six digits that the app shows.",
        label: "Code",
        save: "Add the app",
        wrong: "This code is not right. Wait for the next one, and check the time on your phone.",
    }
    /// What happened lately.
    activity: ActivityTexts {
        title: "Recent activity",
        lead: "The latest first. Tell your administrator about what you do not know.",
        none: "Nothing yet",
        failed: "Failed",
        from: "from",
        admin: "by an administrator",
        somebody: "by somebody else",
        device: "by a device",
        system: "by Latchkey",
        signed_in: "Signed in",
        session_ended: "Session ended",
        proved: "Proved who you are",
        not_proved: "Somebody could not prove to be you",
        suspicious: "Sign-in that you said was not you",
        password: "Password set",
        factor_added: "Way to sign in added",
        factor_removed: "Way to sign in removed",
        factor_renamed: "A way to sign in was renamed",
        factor_paused: "Way to sign in suspended",
        factor_back: "Way to sign in active again",
        release: "Released to set up one new way to sign in",
        release_used: "Release used",
        device_enrolled: "Device added",
        device_renamed: "Device changed",
        device_removed: "Removed from a device",
        device_linked: "Added to a device",
        device_shut_out: "Device deactivated",
        device_suspended: "Device suspended",
        device_back: "Device active again",
        device_deleted: "Device deleted",
        token: "Enrolment of a device allowed",
        account_made: "Account created",
        account_changed: "Account changed",
        account_suspended: "Account suspended",
        account_back: "Account active again",
        account_closed: "Account deactivated",
        groups: "Groups changed",
        certificate_revoked: "Certificate revoked",
    }
    /// What is said where a factor may not be changed.
    manage: ManageTexts {
        account: "Your account",
        title: "You cannot change this now",
        lead: "Changing how you sign in takes a fresh proof that is as strong as the strongest you have. Nothing was changed.",
        nothing: "Nothing that you can prove now is strong enough to change how you sign in. Your administrator can release you to set up one new way.",
        prove: "Prove more",
        back: "Back to your account",
    }
    /// The page after signing out.
    signed_out: SignedOutTexts {
        title: "You are signed out",
        here: "Applications that you opened in this browser are closed.",
        everywhere: "All your sessions have ended, in this browser and elsewhere.",
        again: "Sign in again",
    }
    /// The auth host’s first page.
    home: HomeTexts {
        title: "You are signed in",
        since: "since",
        all_devices: "Details",
        all_sessions: "Show all sessions",
        devices: "Your devices",
        no_devices: "None yet. Add this device to sign in without a password.",
        device: "Device",
        standing: "Standing",
        last_proof: "Last proof",
        never: "not yet",
        managed: "Managed",
        registered: "Registered",
        shut_out: "Shut out",
        current: "Used for this session",
        added: "New",
        add: "Add this device",
        sessions: "Sessions",
        one_session: "This is your only session.",
        sessions_before: "You have",
        sessions_after: "sessions, this one included.",
        everywhere: "Sign out everywhere",
    }
    /// The page for what came too late.
    expired: ExpiredTexts {
        title: "This page is too old",
        lead: "It was open for too long, or was used already. Nothing happened.",
        start: "Start again",
    }
    /// The page that adds a device.
    enroll: EnrollTexts {
        title: "Add this device",
        step_sign_in: "Sign in",
        step_name: "Name the device",
        step_confirm: "Confirm on the device",
        step_done: "Done",
        name: "Name",
        name_hint: "You and your administrator will know it by this name.",
        begin: "Add this device",
        try_again: "Try again",
        no_script: "To reach your device this page needs JavaScript, which is off in this browser. Turn it on and reload the page.",
        looking_title: "Looking for your device",
        looking_text: "This takes a moment.",
        prompt_title: "Your browser has a question",
        prompt_text: "It asks whether this page may reach apps on this device. Allow it to go on.",
        proving_title: "Making sure it is this device",
        proving_text: "This takes a moment.",
        waiting_title: "Your device has begun",
        waiting_text: "This takes a few seconds.",
        asking_for_pin_title: "Choose a PIN on your device",
        asking_for_pin_text: "Type it where you started Latchkey. You will confirm with it when you sign in.",
        identifying_title: "Reading what your device is",
        identifying_text: "This takes a few seconds.",
        beginning_title: "Asking the gateway",
        beginning_text: "This takes a few seconds.",
        activating_title: "Proving the hardware",
        activating_text: "This takes a few seconds.",
        making_keys_title: "Making the keys",
        making_keys_text: "They never leave this device. Some hardware takes half a minute.",
        finishing_title: "Almost done",
        finishing_text: "The gateway writes the device down.",
        done_title: "Your device was added",
        done_text: "From now on you can sign in with it.",
        failed_title: "Your device was not added",
        failed_text: "Latchkey says why where you started it. Start it again there.",
        absent_title: "No device is waiting",
        absent_text: "Latchkey was closed, or something keeps your browser from reaching it. Run the command again; it opens this page anew.",
        other_title: "Another user’s Latchkey answers here",
        other_text: "Run the command under your own account on this computer.",
        foreign_title: "Another Latchkey answers here",
        foreign_text: "The one on this device belongs to another page. Run the command again and use the page that it opens.",
        blocked_title: "Your browser blocks the way to your device",
        blocked_text: "Click the icon left of the address, allow access to apps on this device, and try again.",
        timed_out_title: "That took too long",
        timed_out_text: "Run the command again; it opens this page anew.",
        lost_title: "The connection to your device broke off",
        lost_text: "Latchkey may have been closed. Look where you started it, and run the command again.",
        unreachable_title: "The gateway does not answer",
        unreachable_text: "Check your network and try again.",
    }
    /// The page that says how to add a device.
    enroll_start: EnrollStartTexts {
        title: "Add this device",
        lead: "Latchkey’s program on your device begins, and opens this page for you.",
        open: "Open a terminal on the device that you want to add.",
        run: "Run this command:",
        follow: "Your browser opens. Sign in, name the device, and confirm on it.",
        missing: "Is the program missing?",
        missing_text: "Your administrator can tell you where to get it. To see whether it is there:",
        copy: "Copy",
        copied: "Copied",
        test: "Test the way to your device",
    }
    /// The page that tests the way to the agent.
    device_test: DeviceTestTexts {
        title: "Is my device found?",
        lead: "This page tries to reach Latchkey on the device you are using and says what is in the way. Nobody is signed in.",
        no_script: "The test needs JavaScript, which is off in this browser. Signing in with this device needs it too.",
        running: "Testing",
        again: "Test again",
        back: "Back to signing in",
        what: "What",
        result: "Result",
        time: "Time",
        secure: "Secure page",
        secure_yes: "Yes",
        secure_no: "No: browsers reach devices from secure pages only",
        permission: "Browser’s permission",
        permission_granted: "Given",
        permission_denied: "Refused",
        permission_prompt: "Your browser will ask",
        permission_unknown: "This browser asks for none",
        port: "Port",
        agent: "Latchkey answers",
        enrolling: "Latchkey waits to be added",
        other: "Another user’s Latchkey",
        foreign: "Something that does not answer this page",
        silent: "Nothing listens, or the way is blocked",
        slow: "No answer in time",
        found_title: "Your device is found",
        found_text: "You can sign in with it. If that fails, the page then says why.",
        found_enrolling_title: "A device waits to be added",
        found_enrolling_text: "Finish adding it on the page that it opened.",
        blocked_title: "Your browser blocks the way",
        blocked_text: "Click the icon left of the address, allow access to apps on this device, and test again. If your company set this, your administrator can allow this page.",
        other_title: "Only another user’s Latchkey runs here",
        other_text: "Start it under your own account: systemctl --user start latchkey-agent, or latchkey-agent run.",
        foreign_title: "Something answers, but not this page",
        foreign_text: "Another program uses these ports, or Latchkey on this device belongs to another organisation.",
        slow_title: "The way is there, but nothing answers",
        slow_text: "A proxy or a security program may hold the connection back. Leave 127.0.0.1 out of the proxy’s settings and test again.",
        absent_title: "Latchkey is not running",
        absent_text: "Start it: systemctl --user start latchkey-agent, or latchkey-agent run. If it runs, a content blocker or a security program may be in the way: switch it off for this page and test again.",
        insecure_title: "This page is not secure",
        insecure_text: "Open it by its https address.",
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
}

/// What an advice word of a policy means to a person.
pub(crate) fn help(advice: &str) -> &str {
    match advice {
        "become-managed" => "Use a device that your company manages, or have this one enrolled in management.",
        "register-device" => "Enrol this device first.",
        "prove-device" => "Reload the page: your device then proves itself again.",
        "enroll-hardware-key" => "Enrol a device whose key lives in its TPM or secure enclave.",
        "sign-in-device" => "Sign in with your device.",
        "sign-in-device-uv" => "Sign in with your device and confirm with PIN or fingerprint.",
        "sign-in-again" => "Sign in again.",
        "sign-in-strongest" => "Sign in again with the strongest that you have: your device, your security key.",
        "sign-in-second-factor" => "Sign in with a second factor.",
        "contact-admin" => "Your administrator can help.",
        "fix-posture:disk" => "Turn on disk encryption, then have your device report again.",
        "fix-posture:standard" => {
            "Bring your device up to date and lock it with a password, then have it report again."
        }
        other => other,
    }
}
