//! How is libpam called? Loaded where there is one, by the few functions that verify a user: those of pam_start(3) to pam_end(3).
#![expect(unsafe_code, reason = "a C library is called, which calls back")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;

use libloading::os::unix::{Library as Loaded, RTLD_GLOBAL, RTLD_NOW, Symbol};

use crate::secret::Secret;

/// Who is told what a service says, and answers what it asks.
pub(super) trait Conversation {
    /// Passes something on; nothing where nobody hears it.
    fn message(&mut self, text: String, error: bool) -> Option<()>;
    /// Asks for something; nothing where nobody answers.
    fn input(&mut self, text: String, hidden: bool) -> Option<Secret>;
}

/// libpam.
pub(super) struct Library {
    start: Symbol<Start>,
    authenticate: Symbol<Act>,
    account: Symbol<Act>,
    item: Symbol<Item>,
    error: Symbol<Describe>,
    end: Symbol<End>,
    // After what is of it.
    _loaded: Loaded,
}

impl Library {
    /// Loads it.
    ///
    /// # Errors
    ///
    /// Says what is missing.
    pub(super) fn open() -> Result<Self, String> {
        // SAFETY: libpam's initialisers do nothing but set its own memory up. It is loaded for all, since modules expect its
        // functions there, and looked up there, so that what was put before it, such as pam_wrapper, is before it here as well.
        let (loaded, all) = unsafe { Loaded::open(Some(NAME), RTLD_NOW | RTLD_GLOBAL) }
            .map(|loaded| (loaded, Loaded::this()))
            .map_err(|error| format!("this machine has no PAM ({error})"))?;
        let missing = |error: libloading::Error| format!("this machine's PAM lacks a function ({error})");
        // SAFETY: the types are those of Linux-PAM's headers.
        unsafe {
            Ok(Self {
                start: all.get(b"pam_start\0").map_err(missing)?,
                authenticate: all.get(b"pam_authenticate\0").map_err(missing)?,
                account: all.get(b"pam_acct_mgmt\0").map_err(missing)?,
                item: all.get(b"pam_get_item\0").map_err(missing)?,
                error: all.get(b"pam_strerror\0").map_err(missing)?,
                end: all.get(b"pam_end\0").map_err(missing)?,
                _loaded: loaded,
            })
        }
    }

    /// Has a service verify the user who runs this process and say whether they may come in; the process is ended where that takes
    /// longer than so many seconds. For a process with one thread.
    ///
    /// # Errors
    ///
    /// Says why not.
    pub(super) fn verify(&self, service: &str, within: u32, conversation: &mut dyn Conversation) -> Result<(), String> {
        let user = user().ok_or("the user who runs this has no name")?;
        let service = CString::new(service).map_err(|_| "the service has no name")?;
        let mut conversation = conversation;
        let talk = Talk {
            converse,
            data: ptr::from_mut(&mut conversation).cast(),
        };
        let mut handle = ptr::null_mut();
        // SAFETY: every pointer outlives the call, and `talk` and what it points to outlive the handle.
        let started = unsafe {
            libc::alarm(within);
            (self.start)(service.as_ptr(), user.as_ptr(), &raw const talk, &raw mut handle)
        };
        if started != SUCCESS || handle.is_null() {
            return Err(format!("it cannot be started ({started})"));
        }
        // SAFETY: the handle is of pam_start, and not ended yet.
        unsafe {
            let mut result = (self.authenticate)(handle, DISALLOW_NULL_AUTHTOK);
            if result == SUCCESS {
                result = (self.account)(handle, DISALLOW_NULL_AUTHTOK);
            }
            let said = self.check(handle, result, &user);
            (self.end)(handle, result);
            said
        }
    }

    /// What a result comes to; a service that verified somebody else verified nobody.
    ///
    /// # Safety
    ///
    /// The handle is of pam_start, and not ended yet.
    unsafe fn check(&self, handle: *mut Handle, result: c_int, user: &CStr) -> Result<(), String> {
        if result != SUCCESS {
            // SAFETY: the text is a constant of libpam's.
            return Err(unsafe { text((self.error)(handle, result)) });
        }
        let mut verified = ptr::null();
        // SAFETY: the item is a string of the handle's, which is not ended yet.
        let is_user = unsafe {
            (self.item)(handle, USER, &raw mut verified) == SUCCESS
                && !verified.is_null()
                && CStr::from_ptr(verified.cast()) == user
        };
        if is_user {
            Ok(())
        } else {
            Err("it verified another user".to_owned())
        }
    }
}

/// The name of the user who runs this process.
fn user() -> Option<CString> {
    // SAFETY: the process has one thread, so that nobody else changes what getpwuid gives before it is copied.
    unsafe {
        let entry = libc::getpwuid(libc::getuid());
        let name = entry.as_ref()?.pw_name;
        (!name.is_null()).then(|| CStr::from_ptr(name).to_owned())
    }
}

/// Passes a module's messages on, and what is answered back.
unsafe extern "C" fn converse(
    count: c_int,
    messages: *mut *const Message,
    answers: *mut *mut Answer,
    data: *mut c_void,
) -> c_int {
    let Ok(count) = usize::try_from(count) else {
        return CONV_ERR;
    };
    if !(1..=MOST).contains(&count) || messages.is_null() || answers.is_null() || data.is_null() {
        return CONV_ERR;
    }
    // SAFETY: `data` is what `verify` gave to pam_start. The answers are made by calloc, as libpam frees them; the messages are
    // so many pointers, as Linux-PAM passes them.
    unsafe {
        let conversation = &mut *data.cast::<&mut dyn Conversation>();
        let made = libc::calloc(count, size_of::<Answer>()).cast::<Answer>();
        if made.is_null() {
            return CONV_ERR;
        }
        for index in 0..count {
            let message = *messages.add(index);
            let answered = message.as_ref().and_then(|message| reply(*conversation, message));
            match answered {
                Some(answer) => (*made.add(index)).text = answer,
                None => {
                    forget(made, count);
                    return CONV_ERR;
                }
            }
        }
        *answers = made;
    }
    SUCCESS
}

/// The answer to one message, made by malloc; null where none is wanted.
///
/// # Safety
///
/// The message's text is a string or null.
unsafe fn reply(conversation: &mut dyn Conversation, message: &Message) -> Option<*mut c_char> {
    // SAFETY: as the caller says.
    let said = unsafe { text(message.text) };
    let hidden = message.style == PROMPT_ECHO_OFF;
    match message.style {
        PROMPT_ECHO_OFF | PROMPT_ECHO_ON => {
            let typed = conversation.input(said, hidden)?;
            let typed = zeroize::Zeroizing::new([typed.expose().as_bytes(), b"\0"].concat());
            let typed = CStr::from_bytes_with_nul(&typed).ok()?;
            // SAFETY: it is a string.
            let copy = unsafe { libc::strdup(typed.as_ptr()) };
            (!copy.is_null()).then_some(copy)
        }
        ERROR_MSG | TEXT_INFO => {
            conversation.message(said, message.style == ERROR_MSG)?;
            Some(ptr::null_mut())
        }
        _ => None,
    }
}

/// Wipes and frees answers that libpam does not get.
///
/// # Safety
///
/// They are so many, made by calloc, each with a string made by malloc or null.
unsafe fn forget(answers: *mut Answer, count: usize) {
    // SAFETY: as the caller says.
    unsafe {
        for index in 0..count {
            let text = (*answers.add(index)).text;
            if !text.is_null() {
                libc::explicit_bzero(text.cast(), libc::strlen(text));
                libc::free(text.cast());
            }
        }
        libc::free(answers.cast());
    }
}

/// What C calls a string, as far as it is text.
///
/// # Safety
///
/// It is a string or null.
unsafe fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: as the caller says.
    let string = unsafe { CStr::from_ptr(string) };
    string.to_string_lossy().into_owned()
}

#[repr(C)]
struct Handle {
    _opaque: [u8; 0],
}

#[repr(C)]
struct Message {
    style: c_int,
    text: *const c_char,
}

#[repr(C)]
struct Answer {
    text: *mut c_char,
    code: c_int,
}

#[repr(C)]
struct Talk {
    converse: Converse,
    data: *mut c_void,
}

type Converse = unsafe extern "C" fn(c_int, *mut *const Message, *mut *mut Answer, *mut c_void) -> c_int;
type Start = unsafe extern "C" fn(*const c_char, *const c_char, *const Talk, *mut *mut Handle) -> c_int;
type Act = unsafe extern "C" fn(*mut Handle, c_int) -> c_int;
type Item = unsafe extern "C" fn(*const Handle, c_int, *mut *const c_void) -> c_int;
type Describe = unsafe extern "C" fn(*mut Handle, c_int) -> *const c_char;
type End = unsafe extern "C" fn(*mut Handle, c_int) -> c_int;

const NAME: &str = "libpam.so.0";
/// How many messages come at once at most (PAM_MAX_NUM_MSG).
const MOST: usize = 32;
const SUCCESS: c_int = 0;
const CONV_ERR: c_int = 19;
const USER: c_int = 2;
const PROMPT_ECHO_OFF: c_int = 1;
const PROMPT_ECHO_ON: c_int = 2;
const ERROR_MSG: c_int = 3;
const TEXT_INFO: c_int = 4;
const DISALLOW_NULL_AUTHTOK: c_int = 1;
