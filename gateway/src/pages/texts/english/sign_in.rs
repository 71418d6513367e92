//! What do the pages of a sign-in say in English?

use crate::pages::texts::*;

pub(super) const IDENTIFY: IdentifyTexts = IdentifyTexts {
    title: "Sign in",
    placeholder: "name@example.com",
    missing: "Type your username.",
};

pub(super) const NOTICES: NoticeTexts = NoticeTexts {
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
};

pub(super) const METHODS: MethodsTexts = MethodsTexts {
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
};

pub(super) const PASSWORD: PasswordTexts = PasswordTexts {
    title: "Type your password",
    label: "Password",
    wrong: "Username and password do not go together. Try again.",
    too_many_title: "Too many attempts",
};

pub(super) const CODE: CodeTexts = CodeTexts {
    title: "Type your code",
    lead: "Open your authenticator app and type the six digits it shows for this account.",
    label: "Code",
    wrong: "This code is not right, or was used already. Wait for the next one.",
    too_many_title: "Too many attempts",
};

pub(super) const EMAIL: EmailTexts = EmailTexts {
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
};

pub(super) const RECOVERY: RecoveryTexts = RecoveryTexts {
    title: "Use a recovery code",
    lead: "Type one of the codes that you kept for the day on which nothing else works. Each works once.",
    label: "Recovery code",
    wrong: "This code is not right, or was used already.",
};

pub(super) const MAIL: MailTexts = MailTexts {
    subject: "Sign in to",
    lead: "Type this code where you are signing in, to open",
    link: "Or open this link in the same browser:",
    lifetime_before: "Both are good for",
    lifetime_after: "minutes, once.",
    asked: "It was asked for on",
    by: "by",
    from: "from",
    stranger: "If that was not you, do nothing: without the code nobody gets in. Give it to nobody, whoever asks. If letters like this keep coming, tell your administrator.",
    unknown_browser: "an unknown browser",
};

pub(super) const PUSH: PushTexts = PushTexts {
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
};

pub(super) const STEP_UP: StepUpTexts = StepUpTexts {
    title: "One more step",
    lead_after: "asks for more than how you signed in:",
    offers: "This will do:",
};

pub(super) const NOTHING_HELPS: NothingHelpsTexts = NothingHelpsTexts {
    title_before: "You cannot open",
    lead: "The rules for this application stand in the way:",
    again: "Check again",
};

pub(super) const REFUSALS: RefusalTexts = RefusalTexts {
    sign_in_title: "You cannot sign in",
    sign_in_lead: "The rules for signing in stand in the way:",
    sign_in_again: "Start again",
    device_title: "You cannot add a device now",
    device_lead: "The rules for devices stand in the way:",
    device_again: "Sign in again",
    nowhere_title: "There is nothing here",
    nowhere_lead: "This address leads nowhere.",
    nowhere_link: "Go to your page",
};

pub(super) const EXPIRED: ExpiredTexts = ExpiredTexts {
    title: "This page is too old",
    lead: "It was open for too long, or was used already. Nothing happened.",
    start: "Start again",
};

pub(super) const SIGNED_OUT: SignedOutTexts = SignedOutTexts {
    title: "You are signed out",
    here: "Applications that you opened in this browser are closed.",
    everywhere: "All your sessions have ended, in this browser and elsewhere.",
    again: "Sign in again",
};
