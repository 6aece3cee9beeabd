//! Where a libtorch may be, and whether the one there is of the right version.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::tools::beside::{self, path_in};

/// Major and minor version of the libtorch that the backend is built for.
pub(super) const VERSION: (u64, u64) = (2, 11);

/// A directory that may hold a libtorch, and what named it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub origin: String,
    pub path: PathBuf,
}

/// What says where libtorch may be.
#[derive(Debug, Default)]
pub(super) struct Environment {
    pub toolpool_libtorch: Option<PathBuf>,
    pub libtorch: Option<PathBuf>,
    /// The link that the build and `make install` leave beside toolpool's files.
    pub link: Option<PathBuf>,
    /// Name and value of the variables that name a Python environment.
    pub python: Vec<(&'static str, PathBuf)>,
}

impl Environment {
    pub fn read() -> Self {
        let python = ["VIRTUAL_ENV", "CONDA_PREFIX"];
        Self {
            toolpool_libtorch: path_in("TOOLPOOL_LIBTORCH"),
            libtorch: path_in("LIBTORCH"),
            link: link_in(&beside::places()),
            python: python
                .into_iter()
                .filter_map(|name| Some((name, path_in(name)?)))
                .collect(),
        }
    }

    pub fn candidates(&self) -> Vec<Candidate> {
        let named = |origin: &str, path: &Option<PathBuf>| {
            path.clone().map(|path| Candidate {
                origin: origin.to_owned(),
                path,
            })
        };
        if let Some(only) = named("TOOLPOOL_LIBTORCH", &self.toolpool_libtorch) {
            return vec![only];
        }
        let libtorch = named("LIBTORCH", &self.libtorch);
        let link = named("beside toolpool", &self.link);
        let python = self.python.iter().flat_map(|(name, root)| {
            python_packages(root)
                .into_iter()
                .map(move |path| Candidate {
                    origin: format!("the Python package in {name}"),
                    path,
                })
        });
        libtorch.into_iter().chain(link).chain(python).collect()
    }
}

/// The file `libtorch` in one of these places. One that leads nowhere counts, so that it is told of.
fn link_in(places: &[PathBuf]) -> Option<PathBuf> {
    let mut links = places.iter().map(|place| place.join("libtorch"));
    links.find(|link| link.symlink_metadata().is_ok())
}

/// Where the torch package of a Python environment would be: one place for each of its Python versions.
fn python_packages(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root.join("lib"))
        .into_iter()
        .flatten()
        .flatten();
    let mut packages: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("python3"))
        .map(|entry| entry.path().join("site-packages/torch"))
        .collect();
    packages.sort();
    packages
}

/// The directory of the libraries of a libtorch of the right version, given it or the one above it.
pub(super) fn library_directory(path: &Path) -> Result<PathBuf, String> {
    let library = file_name("torch_cpu");
    let places = [path.join("lib"), path.to_owned()];
    let Some(directory) = places
        .into_iter()
        .find(|place| place.join(&library).is_file())
    else {
        return Err(format!("there is no {library} in it or in its lib"));
    };
    // Made absolute: the loader looks elsewhere for a path without a slash.
    let directory = directory
        .canonicalize()
        .map_err(|error| error.to_string())?;
    match directory.parent().and_then(written_version) {
        Some(version) if !is_of_version(&version) => Err(format!("its version is {version}")),
        _ => Ok(directory),
    }
}

/// The version that is written in a Python package's `version.py`, or a libtorch archive's `build-version`.
pub(super) fn written_version(root: &Path) -> Option<String> {
    if let Ok(archive) = fs::read_to_string(root.join("build-version")) {
        return Some(archive.trim().to_owned());
    }
    let package = fs::read_to_string(root.join("version.py")).ok()?;
    let assigned = package.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "__version__").then(|| value.trim())
    })?;
    Some(assigned.trim_matches(['\'', '"']).to_owned())
}

/// Whether a version such as `2.11.0+cu130` is one that the backend works with.
fn is_of_version(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u64>);
    let mut next = || numbers.next().and_then(Result::ok);
    (next(), next()) == (Some(VERSION.0), Some(VERSION.1))
}

/// The file name of a shared library on this system: `libNAME.so`.
pub(super) fn file_name(name: &str) -> String {
    format!(
        "{}{name}{}",
        env::consts::DLL_PREFIX,
        env::consts::DLL_SUFFIX
    )
}

#[cfg(test)]
pub(in crate::tools) mod tests {
    use std::process;

    use super::*;

    /// A directory that is removed at the end of the test.
    pub struct Scratch(pub PathBuf);

    impl Scratch {
        pub fn new(test: &str) -> Self {
            let path = env::temp_dir().join(format!("toolpool-{test}-{}", process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub fn write(&self, file: &str, text: &str) -> &Self {
            let path = self.0.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn places_come_in_order_and_the_wished_one_alone() {
        let python = Scratch::new("places");
        python
            .write("lib/python3.12/x", "")
            .write("lib/python3.9/x", "")
            .write("lib/other/x", "");
        let mut environment = Environment {
            libtorch: Some("/a".into()),
            link: Some("/b".into()),
            python: vec![("VIRTUAL_ENV", python.0.clone())],
            ..Environment::default()
        };
        let paths = |environment: &Environment| -> Vec<PathBuf> {
            environment
                .candidates()
                .into_iter()
                .map(|candidate| candidate.path)
                .collect()
        };
        let package = |version: &str| python.0.join(format!("lib/{version}/site-packages/torch"));
        assert_eq!(
            paths(&environment),
            [
                "/a".into(),
                "/b".into(),
                package("python3.12"),
                package("python3.9")
            ]
        );
        environment.toolpool_libtorch = Some("/c".into());
        assert_eq!(paths(&environment), [PathBuf::from("/c")]);
    }

    #[test]
    fn a_link_beside_toolpool_counts_also_if_it_leads_nowhere() {
        let scratch = Scratch::new("link");
        assert_eq!(link_in(std::slice::from_ref(&scratch.0)), None);
        let link = scratch.0.join("libtorch");
        std::os::unix::fs::symlink("/nowhere", &link).unwrap();
        assert_eq!(link_in(&["/never".into(), scratch.0.clone()]), Some(link));
    }

    #[test]
    fn versions_are_read_from_packages_and_archives() {
        let scratch = Scratch::new("versions");
        assert_eq!(written_version(&scratch.0), None);
        scratch.write("version.py", "from typing import Optional\n__all__ = ['x']\n__version__ = '2.11.0+cu130'\ndebug = False\n");
        assert_eq!(written_version(&scratch.0).as_deref(), Some("2.11.0+cu130"));
        scratch.write("build-version", "2.10.0+cpu\n");
        assert_eq!(written_version(&scratch.0).as_deref(), Some("2.10.0+cpu"));
    }

    #[test]
    fn a_version_fits_by_its_first_two_numbers() {
        for (version, fits) in [
            ("2.11.0+cu130", true),
            ("2.11.1", true),
            ("2.11", true),
            ("2.1.1", false),
            ("2.110.0", false),
            ("2.10.0", false),
            ("1.11.0", false),
            ("", false),
            ("main", false),
        ] {
            assert_eq!(is_of_version(version), fits, "{version:?}");
        }
    }
}
