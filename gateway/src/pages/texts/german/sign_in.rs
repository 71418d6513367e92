//! What do the pages of a sign-in say in German?

use crate::pages::texts::*;

pub(super) const IDENTIFY: IdentifyTexts = IdentifyTexts {
    title: "Anmelden",
    placeholder: "name@example.com",
    missing: "Geben Sie Ihren Benutzernamen ein.",
};

pub(super) const NOTICES: NoticeTexts = NoticeTexts {
    signed_out_title: "Sie sind abgemeldet",
    signed_out_text: "",
    session_ended_title: "Ihre Sitzung ist beendet",
    session_ended_text: "Melden Sie sich wieder an, um fortzufahren.",
    device_shut_out_title: "Dieses Gerät wurde gesperrt",
    device_shut_out_text: "Sie können sich anders anmelden, wo eine Anwendung es erlaubt. Ihre Administration kann das Gerät freigeben.",
    device_failed_title: "Das hat nicht geklappt",
    device_failed_text: "Versuchen Sie es noch einmal, oder wählen Sie einen anderen Weg.",
    device_added_title: "Ihr Gerät wurde hinzugefügt",
    device_added_text: "Von jetzt an können Sie sich damit anmelden.",
};

pub(super) const METHODS: MethodsTexts = MethodsTexts {
    title: "Wie möchten Sie sich anmelden?",
    device: "Dieses Gerät",
    device_hint: "Auf dem Gerät bestätigen, das Sie gerade benutzen",
    password: "Passwort",
    password_hint: "Ihr Passwort eingeben",
    totp: "Code",
    totp_hint: "Einen Code aus Ihrer Authenticator-App eingeben",
    webauthn: "Sicherheitsschlüssel oder Passkey",
    webauthn_hint: "Den Schlüssel berühren oder den Passkey Ihres Telefons oder Computers verwenden",
    email: "E-Mail",
    email_hint: "Einen Code an Ihre Adresse senden lassen",
    recovery: "Wiederherstellungs\u{ad}code",
    recovery_hint: "Einen der Codes verwenden, die Sie dafür aufbewahrt haben",
    push: "Anderes Gerät",
    push_hint: "Auf einem Gerät zustimmen, das Sie früher hinzugefügt haben",
    none: "Zurzeit steht hier kein Weg zur Anmeldung offen. Ihre Administration kann helfen.",
    device_needs_script: "„Dieses Gerät“ braucht JavaScript, das in diesem Browser ausgeschaltet ist.",
};

pub(super) const PASSWORD: PasswordTexts = PasswordTexts {
    title: "Geben Sie Ihr Passwort ein",
    label: "Passwort",
    wrong: "Benutzername und Passwort passen nicht zusammen. Versuchen Sie es noch einmal.",
    too_many_title: "Zu viele Versuche",
};

pub(super) const CODE: CodeTexts = CodeTexts {
    title: "Geben Sie Ihren Code ein",
    lead: "Öffnen Sie Ihre Authenticator-App und geben Sie die sechs Ziffern ein, die sie für dieses Konto zeigt.",
    label: "Code",
    wrong: "Dieser Code stimmt nicht oder wurde schon verwendet. Warten Sie auf den nächsten.",
    too_many_title: "Zu viele Versuche",
};

pub(super) const EMAIL: EmailTexts = EmailTexts {
    title: "Per E-Mail anmelden",
    lead: "Wir senden einen Code an die Adresse, die wir zu diesem Konto haben. Lassen Sie diesen Browser solange offen.",
    send: "Code per E-Mail senden",
    code_title: "Sehen Sie in Ihre E-Mails",
    code_lead: "Wenn sich dieses Konto per E-Mail anmelden kann, ist eine Nachricht unterwegs. Geben Sie den Code daraus ein, oder öffnen Sie den Link darin in diesem Browser. Beide gelten zehn Minuten.",
    label: "Code aus der Nachricht",
    wrong: "Dieser Code stimmt nicht, wurde schon verwendet oder ist zu alt. Lassen Sie sich bei Bedarf einen neuen senden.",
    again: "Noch einen senden",
    link_title: "Per E-Mail anmelden",
    link_lead: "Sie haben den Link in Ihrer Nachricht geöffnet. Fahren Sie nur fort, wenn Sie selbst darum gebeten haben.",
    elsewhere_title: "Dieser Link bewirkt hier nichts",
    elsewhere_lead: "Öffnen Sie ihn in dem Browser, in dem Sie begonnen haben, oder geben Sie dort den Code ein. Er gilt zehn Minuten, einmal, und nur der neueste.",
    elsewhere_stranger: "Wenn Sie nicht darum gebeten haben, schließen Sie diese Seite: Niemand wurde angemeldet.",
};

pub(super) const RECOVERY: RecoveryTexts = RecoveryTexts {
    title: "Wiederherstellungs\u{ad}code verwenden",
    lead: "Geben Sie einen der Codes ein, die Sie für den Tag aufbewahrt haben, an dem nichts anderes geht. Jeder gilt einmal.",
    label: "Wiederherstellungs\u{ad}code",
    wrong: "Dieser Code stimmt nicht oder wurde schon verwendet.",
};

pub(super) const MAIL: MailTexts = MailTexts {
    subject: "Anmelden bei",
    lead: "Geben Sie diesen Code dort ein, wo Sie sich gerade anmelden, zum Öffnen von",
    link: "Oder öffnen Sie diesen Link im selben Browser:",
    lifetime_before: "Beide gelten",
    lifetime_after: "Minuten, einmal.",
    asked: "Angefordert wurde er am",
    by: "mit",
    from: "von",
    stranger: "Wenn Sie das nicht waren, tun Sie nichts: Ohne den Code kommt niemand hinein. Geben Sie ihn niemandem, wer auch fragt. Wenn weiter solche Nachrichten kommen, sagen Sie es Ihrer Administration.",
    unknown_browser: "einem unbekannten Browser",
};

pub(super) const PUSH: PushTexts = PushTexts {
    title: "Anderes Gerät verwenden",
    lead: "Eines Ihrer Geräte, das Sie früher hinzugefügt haben und auf dem Latchkey läuft, wird Sie um Zustimmung bitten.",
    ask: "Meine anderen Geräte fragen",
    wait_title: "Stimmen Sie auf Ihrem anderen Gerät zu",
    wait_lead: "Diese Seite geht von selbst weiter, sobald Sie geantwortet haben. Wenn kein Gerät fragt, wählen Sie einen anderen Weg.",
    number_lead: "Geben Sie dort diese Zahl ein:",
    answered: "Ich habe geantwortet",
    again: "Es kommt nichts an",
    not_yet_title: "Noch hat niemand geantwortet",
    not_yet_text: "Antworten Sie auf Ihrem anderen Gerät, und fahren Sie dann hier fort.",
    refused_title: "Es wurde nicht zugestimmt",
    refused_text: "Jemand hat abgelehnt, oder die Zahl war falsch. Niemand wurde angemeldet.",
    over_title: "Das hat zu lange gedauert",
    over_text: "Es wurde nicht rechtzeitig zugestimmt. Versuchen Sie es noch einmal, oder wählen Sie einen anderen Weg.",
    not_taken_title: "Die Zustimmung wurde nicht angenommen",
    not_taken_text: "Das Gerät wurde vielleicht inzwischen gesperrt. Versuchen Sie es noch einmal, oder wählen Sie einen anderen Weg.",
};

pub(super) const STEP_UP: StepUpTexts = StepUpTexts {
    title: "Noch ein Schritt",
    lead_after: "verlangt mehr als die Art, wie Sie sich angemeldet haben:",
    offers: "Das genügt:",
};

pub(super) const NOTHING_HELPS: NothingHelpsTexts = NothingHelpsTexts {
    title_before: "Sie können dies nicht öffnen:",
    lead: "Die Regeln für diese Anwendung stehen dem entgegen:",
    again: "Noch einmal prüfen",
};

pub(super) const REFUSALS: RefusalTexts = RefusalTexts {
    sign_in_title: "Sie können sich nicht anmelden",
    sign_in_lead: "Die Regeln für die Anmeldung stehen dem entgegen:",
    sign_in_again: "Neu beginnen",
    device_title: "Sie können jetzt kein Gerät hinzufügen",
    device_lead: "Die Regeln für Geräte stehen dem entgegen:",
    device_again: "Noch einmal anmelden",
    nowhere_title: "Hier ist nichts",
    nowhere_lead: "Diese Adresse führt nirgendwohin.",
    nowhere_link: "Zu Ihrer Seite",
};

pub(super) const EXPIRED: ExpiredTexts = ExpiredTexts {
    title: "Diese Seite ist zu alt",
    lead: "Sie war zu lange offen oder wurde schon verwendet. Es ist nichts geschehen.",
    start: "Neu beginnen",
};

pub(super) const SIGNED_OUT: SignedOutTexts = SignedOutTexts {
    title: "Sie sind abgemeldet",
    here: "Anwendungen, die Sie in diesem Browser geöffnet haben, sind geschlossen.",
    everywhere: "Alle Ihre Sitzungen sind beendet, in diesem Browser und anderswo.",
    again: "Wieder anmelden",
};
