//! Writes an ESM-2 checkpoint with seeded random weights, in the layout of transformers.

mod random;

use std::path::PathBuf;
use std::process::ExitCode;

const HELP: &str = "\
Writes an ESM-2 checkpoint with seeded random weights (config.json and model.safetensors).

usage: make_checkpoint --shape 8M|35M|150M|650M|3B|15B|tiny [--seed N] OUT_DIR

  --shape  a published size, or tiny (3 layers, width 40, 2 heads)
  --seed   0 if not given; equal seeds give equal files
  OUT_DIR  is made if it is not there; files in it are overwritten
";

struct Arguments {
    shape: random::Shape,
    seed: u64,
    directory: PathBuf,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|a| a == "--help" || a == "-h") {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let result = parse(&arguments)
        .map_err(Into::into)
        .and_then(|a| random::write(&a.directory, a.shape, a.seed));
    match result {
        Ok(bytes) => {
            println!("wrote {bytes} bytes of random weights");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("make_checkpoint: {error}\n\n{HELP}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Arguments, String> {
    let (mut shape, mut seed, mut directory) = (None, 0, None);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--shape" => shape = Some(value()?.clone()),
            "--seed" => {
                seed = value()?
                    .parse()
                    .map_err(|_| "--seed needs a whole number".to_owned())?
            }
            option if option.starts_with('-') => {
                return Err(format!("there is no option {option}"));
            }
            path if directory.is_none() => directory = Some(PathBuf::from(path)),
            path => return Err(format!("one directory, please; {path} is a second")),
        }
    }
    let shape = shape.ok_or("--shape is missing")?;
    let shape = random::shape(&shape).ok_or(format!("there is no shape {shape}"))?;
    let directory = directory.ok_or("OUT_DIR is missing")?;
    Ok(Arguments {
        shape,
        seed,
        directory,
    })
}
