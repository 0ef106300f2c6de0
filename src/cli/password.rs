//! Reads a password: at a prompt, or as the one line of standard input. Never from an argument, which every process of
//! the machine can read.

use std::io::{self, IsTerminal, Read};

use secrecy::{
    ExposeSecret, SecretString,
    zeroize::{Zeroize, Zeroizing},
};

use super::failure::Failure;

/// More bytes than any password has. A longer input is not read to its end.
const MOST_READ: u64 = 64 * 1024;

/// Asks for a new password twice at a terminal, without echo; otherwise reads the one line of standard input.
pub(super) fn read() -> Result<SecretString, Failure> {
    if io::stdin().is_terminal() { from_terminal() } else { from_input(io::stdin().lock()) }
}

fn from_terminal() -> Result<SecretString, Failure> {
    let ask = |prompt: &str| {
        let typed = rpassword::prompt_password(prompt).map(SecretString::from);
        typed.map_err(|cause| {
            Failure::Failed(format!("cannot ask for a password here: {cause}; give it on standard input"))
        })
    };
    let first = ask("New password: ")?;
    let second = ask("The same again: ")?;
    if first.expose_secret() != second.expose_secret() {
        return Err(Failure::Failed("the two passwords differ: run the command again".to_owned()));
    }
    Ok(first)
}

/// Reads one line; the line ending is not part of the password.
fn from_input(input: impl Read) -> Result<SecretString, Failure> {
    let failed = |why: &str| Failure::Failed(format!("{why}: give the password as one line on standard input"));
    let mut bytes = Zeroizing::new(Vec::new());
    let read = input.take(MOST_READ).read_to_end(&mut bytes);
    read.map_err(|cause| failed(&format!("standard input cannot be read ({cause})")))?;
    let line = bytes.strip_suffix(b"\n").map_or(&bytes[..], |line| line.strip_suffix(b"\r").unwrap_or(line));
    if line.is_empty() {
        return Err(failed("there was no password on standard input"));
    }
    if line.contains(&b'\n') {
        return Err(failed("there was more than one line on standard input"));
    }
    let mut text = str::from_utf8(line).map_err(|_| failed("the password is not UTF-8"))?.to_owned();
    let password = SecretString::from(text.as_str());
    text.zeroize();
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(input: &[u8]) -> Option<String> {
        from_input(input).ok().map(|password| password.expose_secret().to_owned())
    }

    #[test]
    fn what_ends_the_line_is_no_part_of_the_password() {
        for input in ["a b ", "a b \n", "a b \r\n"] {
            assert_eq!(given(input.as_bytes()).as_deref(), Some("a b "), "{input:?}");
        }
        assert_eq!(given(b"\r").as_deref(), Some("\r"), "nothing else is taken off");
    }

    #[test]
    fn anything_but_one_line_is_refused() {
        for input in [&b""[..], b"\n", b"\r\n", b"one\ntwo", b"one\ntwo\n", b"one\n\n", b"\none\n", b"\xff\xfe\n"] {
            assert_eq!(given(input), None, "{input:?}");
        }
    }

    #[test]
    fn an_endless_line_is_not_read_to_its_end() {
        let read = from_input(io::repeat(b'a')).expect("it is judged elsewhere");
        assert_eq!(read.expose_secret().len() as u64, MOST_READ);
    }
}
