//! Hands the linker what a Node addon needs.

fn main() {
    #[cfg(feature = "node")]
    {
        napi_build::setup();
        fold_identical_code();
    }
}

/// Functions that are the same in machine code become one, where the linker is the LLD that Rust brings: a megabyte less.
#[cfg(feature = "node")]
fn fold_identical_code() {
    let variable = |name| std::env::var(name).unwrap_or_default();
    if variable("TARGET") == "x86_64-unknown-linux-gnu" && variable("OPT_LEVEL") != "0" {
        println!("cargo::rustc-cdylib-link-arg=-Wl,--icf=all");
    }
}
