//! Private keys under a passphrase, as ExportCertificate hands them out: PKCS #8
//! with PBES2, that is PBKDF2 with HMAC-SHA-256 and AES-256 in CBC mode
//! (RFC 8018).
//!
//! No library of the project has this cipher mode, and AES is written out here
//! for it (FIPS 197). It protects nothing but keys of the sandbox.

use std::num::NonZeroU32;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::pbkdf2;

/// Rounds of the derivation.
const ROUNDS: NonZeroU32 = NonZeroU32::new(2048).unwrap();

const PBES2: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 5, 0x0D];
const PBKDF2: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 5, 0x0C];
const HMAC_SHA_256: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 2, 9];
const AES_256_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 0x2A];

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 2;
const OCTET_STRING: u8 = 4;
const NULL: u8 = 5;
const OBJECT_IDENTIFIER: u8 = 6;

/// A private key, DER of PKCS #8, as PEM under a passphrase.
pub(crate) fn encrypted(key: &[u8], passphrase: &[u8]) -> String {
    let salt: [u8; 16] = rand::random();
    let start: [u8; 16] = rand::random();
    let mut secret = [0; 32];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        ROUNDS,
        &salt,
        passphrase,
        &mut secret,
    );
    let rounds = ROUNDS.get().to_be_bytes();
    let hash = [element(OBJECT_IDENTIFIER, HMAC_SHA_256), element(NULL, &[])];
    let derivation = [
        element(OCTET_STRING, &salt),
        element(INTEGER, &rounds),
        element(SEQUENCE, &hash.concat()),
    ];
    let derivation = [
        element(OBJECT_IDENTIFIER, PBKDF2),
        element(SEQUENCE, &derivation.concat()),
    ];
    let cipher = [
        element(OBJECT_IDENTIFIER, AES_256_CBC),
        element(OCTET_STRING, &start),
    ];
    let schemes = [
        element(SEQUENCE, &derivation.concat()),
        element(SEQUENCE, &cipher.concat()),
    ];
    let algorithm = [
        element(OBJECT_IDENTIFIER, PBES2),
        element(SEQUENCE, &schemes.concat()),
    ];
    let whole = [
        element(SEQUENCE, &algorithm.concat()),
        element(OCTET_STRING, &Aes256::new(&secret).chained(&start, key)),
    ];
    let text = STANDARD.encode(element(SEQUENCE, &whole.concat()));
    let mut pem = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n".to_owned();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END ENCRYPTED PRIVATE KEY-----\n");
    pem
}

/// An element of DER. An integer has its sign bit clear here.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let content = match tag {
        // As short as it can be.
        INTEGER => {
            let zeros = content.iter().take_while(|byte| **byte == 0).count();
            &content[zeros.min(content.len() - 1)..]
        }
        _ => content,
    };
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    let zeros = length.iter().take_while(|byte| **byte == 0).count();
    let length = &length[zeros..];
    match length {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            // Eight bytes at most.
            out.push(0x80 | u8::try_from(long.len()).unwrap_or_default());
            out.extend(long);
        }
    }
    out.extend(content);
    out
}

/// The substitution of bytes: inverses in the field, and an affine map.
const SUBSTITUTES: [u8; 256] = {
    let mut table = [0; 256];
    let (mut number, mut inverse) = (1_u8, 1_u8);
    loop {
        number = number ^ doubled(number);
        inverse ^= inverse << 1;
        inverse ^= inverse << 2;
        inverse ^= inverse << 4;
        if inverse & 0x80 != 0 {
            inverse ^= 0x09;
        }
        table[number as usize] = 0x63
            ^ inverse
            ^ inverse.rotate_left(1)
            ^ inverse.rotate_left(2)
            ^ inverse.rotate_left(3)
            ^ inverse.rotate_left(4);
        if number == 1 {
            break;
        }
    }
    // Zero has no inverse.
    table[0] = 0x63;
    table
};

/// Twice a number of the field.
const fn doubled(number: u8) -> u8 {
    let carry = if number & 0x80 == 0 { 0 } else { 0x1B };
    (number << 1) ^ carry
}

fn substitute(byte: u8) -> u8 {
    SUBSTITUTES[usize::from(byte)]
}

type Block = [u8; 16];

/// AES with a key of 256 bits.
struct Aes256 {
    round_keys: [Block; 15],
}

impl Aes256 {
    fn new(key: &[u8; 32]) -> Self {
        let mut words = [[0; 4]; 60];
        for (word, bytes) in words.iter_mut().zip(key.chunks_exact(4)) {
            word.copy_from_slice(bytes);
        }
        let mut constant = 1;
        for at in 8..words.len() {
            let mut word = words[at - 1];
            if at % 8 == 0 {
                word.rotate_left(1);
                word = word.map(substitute);
                word[0] ^= constant;
                constant = doubled(constant);
            } else if at % 8 == 4 {
                word = word.map(substitute);
            }
            for (byte, before) in word.iter_mut().zip(words[at - 8]) {
                *byte ^= before;
            }
            words[at] = word;
        }
        let mut round_keys = [[0; 16]; 15];
        for (round_key, words) in round_keys.iter_mut().zip(words.chunks_exact(4)) {
            round_key.copy_from_slice(&words.concat());
        }
        Self { round_keys }
    }

    fn block(&self, mut block: Block) -> Block {
        let last = self.round_keys.len() - 1;
        mix(&mut block, &self.round_keys[0]);
        for (round, key) in self.round_keys.iter().enumerate().skip(1) {
            let before = block.map(substitute);
            for (at, byte) in block.iter_mut().enumerate() {
                // Row n moves by n columns.
                *byte = before[(at + 4 * (at % 4)) % 16];
            }
            if round != last {
                for column in block.chunks_exact_mut(4) {
                    let sum = column.iter().fold(0, |sum, byte| sum ^ byte);
                    let first = column[0];
                    for row in 0..4 {
                        let next = if row == 3 { first } else { column[row + 1] };
                        column[row] ^= sum ^ doubled(column[row] ^ next);
                    }
                }
            }
            mix(&mut block, key);
        }
        block
    }

    /// Cipher block chaining, filled up as PKCS #7 has it.
    fn chained(&self, start: &Block, text: &[u8]) -> Vec<u8> {
        let missing = 16 - text.len() % 16;
        let mut padded = text.to_vec();
        padded.resize(text.len() + missing, u8::try_from(missing).unwrap_or(16));
        let mut before = *start;
        let mut out = Vec::with_capacity(padded.len());
        for part in padded.chunks_exact(16) {
            mix(&mut before, part);
            before = self.block(before);
            out.extend(before);
        }
        out
    }
}

fn mix(block: &mut Block, other: &[u8]) {
    for (byte, other) in block.iter_mut().zip(other) {
        *byte ^= other;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_example_of_fips_197() {
        let key: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let text: Block = std::array::from_fn(|at| u8::try_from(at * 0x11).unwrap());
        let block = Aes256::new(&key).block(text);
        assert_eq!(hex::encode(block), "8ea2b7ca516745bfeafc49904b496089");
    }

    #[test]
    fn the_example_of_chaining_of_nist_sp_800_38a() {
        let bytes = |text: &str| hex::decode(text).unwrap();
        let key = bytes("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
        let start: Block = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let text = bytes("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
        let cipher = Aes256::new(&key.try_into().unwrap()).chained(&start, &text);
        // A whole block is filled up with another one.
        assert_eq!(cipher.len(), 48);
        assert_eq!(
            hex::encode(&cipher[..32]),
            "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"
        );
    }

    #[test]
    fn lengths_of_der() {
        assert_eq!(element(INTEGER, &[0, 0, 8, 0]), [2, 2, 8, 0]);
        assert_eq!(element(OCTET_STRING, &[]), [4, 0]);
        assert_eq!(element(OCTET_STRING, &[7; 200])[..3], [4, 0x81, 200]);
        assert_eq!(element(OCTET_STRING, &[7; 300])[..4], [4, 0x82, 1, 44]);
    }
}
