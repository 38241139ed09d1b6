//! Node-API calls that cannot be misused from safe code on the JavaScript thread.
//!
//! napi-rs has typed wrappers for all of this; these are the few operations the hot paths need, without a look-up, an
//! allocation or a type check that was made already.

use std::{ffi::CStr, ptr};

use napi::sys;

use crate::model::decode_utf8;

/// The JavaScript environment, usable on its own thread only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Js(pub(super) sys::napi_env);

/// A JavaScript value, valid until the callback into native code during which it was obtained returns. What has to
/// live longer goes into a [`super::reference::JsRef`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Value(pub(super) sys::napi_value);

/// A value that JavaScript code threw.
#[derive(Debug)]
pub(super) struct Thrown(pub(super) Value);

/// What comes of running JavaScript code.
pub(super) type JsResult<T = Value> = Result<T, Thrown>;

/// The type of a value, as `typeof` has it, with `null` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Undefined,
    Null,
    Boolean,
    Number,
    String,
    Object,
    Function,
    /// Symbol, BigInt, External.
    Other,
}

/// Calls Node-API with a place for its result, and gives the result.
macro_rules! get {
    ($js:expr, $call:ident($($argument:expr),*), $initial:expr) => {{
        let mut result = $initial;
        // SAFETY: `Js` is only used on its own thread, values only in the callback that gave them; the other pointers
        // are live for the call.
        let status = unsafe { sys::$call($js.0, $($argument,)* &raw mut result) };
        $js.check(status).map(|()| result)
    }};
}

impl Js {
    /// Turns the status of a Node-API call into what was thrown.
    fn check(self, status: sys::napi_status) -> JsResult<()> {
        if status == sys::Status::napi_ok {
            return Ok(());
        }
        let mut pending = false;
        // SAFETY: called on the thread of the environment, with a live out pointer.
        unsafe { sys::napi_is_exception_pending(self.0, &raw mut pending) };
        if !pending {
            return Err(Thrown(self.type_error("a JavaScript value is not of the expected type")));
        }
        let mut exception = ptr::null_mut();
        // SAFETY: as above.
        unsafe { sys::napi_get_and_clear_last_exception(self.0, &raw mut exception) };
        Err(Thrown(Value(exception)))
    }

    /// A `TypeError` of the main realm, for failures of Node-API itself.
    fn type_error(self, text: &str) -> Value {
        let mut error = ptr::null_mut();
        let text = self.string(text);
        // SAFETY: called on the thread of the environment, with a live string and out pointer.
        unsafe { sys::napi_create_type_error(self.0, ptr::null_mut(), text.0, &raw mut error) };
        Value(error)
    }

    /// `undefined`.
    pub(super) fn undefined(self) -> Value {
        let value = get!(self, napi_get_undefined(), ptr::null_mut());
        Value(value.expect("undefined always exists"))
    }

    /// `globalThis` of the main realm.
    pub(super) fn global(self) -> JsResult {
        get!(self, napi_get_global(), ptr::null_mut()).map(Value)
    }

    /// A number.
    pub(super) fn number(self, number: f64) -> Value {
        let value = get!(self, napi_create_double(number), ptr::null_mut());
        Value(value.expect("numbers can always be made"))
    }

    /// `true` or `false`.
    pub(super) fn boolean(self, value: bool) -> JsResult {
        get!(self, napi_get_boolean(value), ptr::null_mut()).map(Value)
    }

    /// A string of at most a few megabytes; longer ones are made by [`super::text`].
    pub(super) fn string(self, text: &str) -> Value {
        let length = text.len().cast_signed();
        let value = if text.is_ascii() {
            get!(self, napi_create_string_latin1(text.as_ptr().cast(), length), ptr::null_mut())
        } else {
            get!(self, napi_create_string_utf8(text.as_ptr().cast(), length), ptr::null_mut())
        };
        Value(value.unwrap_or(ptr::null_mut()))
    }

    /// A string.
    pub(super) fn utf16(self, units: &[u16]) -> Value {
        let value = get!(
            self,
            napi_create_string_utf16(units.as_ptr(), units.len().cast_signed()),
            ptr::null_mut()
        );
        Value(value.unwrap_or(ptr::null_mut()))
    }

    /// A new array of the main realm with the given elements.
    pub(super) fn array(self, elements: impl ExactSizeIterator<Item = Value>) -> JsResult {
        let array = get!(self, napi_create_array_with_length(elements.len()), ptr::null_mut())?;
        for (index, element) in (0..).zip(elements) {
            // SAFETY: called on the thread of the environment, with live values.
            self.check(unsafe { sys::napi_set_element(self.0, array, index, element.0) })?;
        }
        Ok(Value(array))
    }

    /// Calls `function` with `this`.
    pub(super) fn call(self, this: Value, function: Value, arguments: &[Value]) -> JsResult {
        // `Value` is transparent to Node-API only as its field.
        let mut raw = [ptr::null_mut(); 12];
        for (place, argument) in raw.iter_mut().zip(arguments) {
            *place = argument.0;
        }
        get!(
            self,
            napi_call_function(this.0, function.0, arguments.len().min(raw.len()), raw.as_ptr()),
            ptr::null_mut()
        )
        .map(Value)
    }

    /// Runs a script of ours.
    pub(super) fn run(self, script: &str) -> JsResult {
        let script = self.string(script);
        get!(self, napi_run_script(script.0), ptr::null_mut()).map(Value)
    }

    /// `new constructor(…)`.
    pub(super) fn construct(self, constructor: Value, arguments: &[Value]) -> JsResult {
        let raw: Vec<sys::napi_value> = arguments.iter().map(|argument| argument.0).collect();
        get!(self, napi_new_instance(constructor.0, raw.len(), raw.as_ptr()), ptr::null_mut())
            .map(Value)
    }

    /// `object[name]`.
    pub(super) fn get(self, object: Value, name: &CStr) -> JsResult {
        get!(self, napi_get_named_property(object.0, name.as_ptr()), ptr::null_mut()).map(Value)
    }

    /// `object[name]`, or `None` when that is undefined or null.
    pub(super) fn get_some(self, object: Value, name: &CStr) -> JsResult<Option<Value>> {
        let value = self.get(object, name)?;
        Ok(Some(value)
            .filter(|value| !matches!(self.type_of(*value), Type::Undefined | Type::Null)))
    }

    /// `object[key]`.
    pub(super) fn get_by(self, object: Value, key: Value) -> JsResult {
        get!(self, napi_get_property(object.0, key.0), ptr::null_mut()).map(Value)
    }

    /// `object[name] = value`.
    pub(super) fn set(self, object: Value, name: &CStr, value: Value) -> JsResult<()> {
        // SAFETY: called on the thread of the environment, with live values and a C string.
        self.check(unsafe {
            sys::napi_set_named_property(self.0, object.0, name.as_ptr(), value.0)
        })
    }

    /// `array[index]`.
    pub(super) fn element(self, array: Value, index: u32) -> JsResult {
        get!(self, napi_get_element(array.0, index), ptr::null_mut()).map(Value)
    }

    /// `array.length`.
    pub(super) fn len(self, array: Value) -> JsResult<u32> {
        let length = self.get(array, c"length")?;
        get!(self, napi_get_value_uint32(length.0), 0)
    }

    /// The numbers of a `Float64Array`.
    pub(super) fn as_numbers(self, array: Value) -> Option<Vec<f64>> {
        let (mut kind, mut length, mut data) = (0, 0, ptr::null_mut());
        let (buffer, offset) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: called on the thread of the environment, with live out pointers or null for what is not asked for.
        let status = unsafe {
            sys::napi_get_typedarray_info(
                self.0,
                array.0,
                &raw mut kind,
                &raw mut length,
                &raw mut data,
                buffer,
                offset,
            )
        };
        if status != sys::Status::napi_ok || kind != sys::TypedarrayType::float64_array {
            return None;
        }
        if length == 0 {
            return Some(Vec::new());
        }
        // SAFETY: Node-API gave the address and the length of the array, which nobody changes meanwhile.
        Some(unsafe { std::slice::from_raw_parts(data.cast::<f64>(), length) }.to_vec())
    }

    /// The enumerable string keys of an object, as an array.
    pub(super) fn keys(self, object: Value) -> JsResult {
        get!(self, napi_get_property_names(object.0), ptr::null_mut()).map(Value)
    }

    /// The type of a value.
    pub(super) fn type_of(self, value: Value) -> Type {
        match get!(self, napi_typeof(value.0), 0) {
            Ok(sys::ValueType::napi_undefined) => Type::Undefined,
            Ok(sys::ValueType::napi_null) => Type::Null,
            Ok(sys::ValueType::napi_boolean) => Type::Boolean,
            Ok(sys::ValueType::napi_number) => Type::Number,
            Ok(sys::ValueType::napi_string) => Type::String,
            Ok(sys::ValueType::napi_object) => Type::Object,
            Ok(sys::ValueType::napi_function) => Type::Function,
            _ => Type::Other,
        }
    }

    /// Whether the value is an object or a function.
    pub(super) fn is_object(self, value: Value) -> bool {
        matches!(self.type_of(value), Type::Object | Type::Function)
    }

    /// Whether the value is undefined or null.
    pub(super) fn is_nothing(self, value: Value) -> bool {
        matches!(self.type_of(value), Type::Undefined | Type::Null)
    }

    /// `Array.isArray(value)`.
    pub(super) fn is_array(self, value: Value) -> bool {
        if get!(self, napi_is_array(value.0), false).unwrap_or(false) {
            return true;
        }
        // Node-API does not look through proxies, which state libraries wrap their arrays in.
        let ask = || {
            let class = self.get(self.global()?, c"Array")?;
            self.call(class, self.get(class, c"isArray")?, &[value])
        };
        self.type_of(value) == Type::Object && ask().is_ok_and(|answer| self.truthy(answer))
    }

    /// Whether the value is a promise, of any realm.
    pub(super) fn is_promise(self, value: Value) -> bool {
        get!(self, napi_is_promise(value.0), false).unwrap_or(false)
    }

    /// Whether the value is an error, of any realm.
    pub(super) fn is_error(self, value: Value) -> bool {
        get!(self, napi_is_error(value.0), false).unwrap_or(false)
    }

    /// `value instanceof constructor`.
    pub(super) fn is_instance(self, value: Value, constructor: Value) -> bool {
        get!(self, napi_instanceof(value.0, constructor.0), false).unwrap_or(false)
    }

    /// `a === b`.
    pub(super) fn same(self, a: Value, b: Value) -> bool {
        get!(self, napi_strict_equals(a.0, b.0), false).unwrap_or(false)
    }

    /// `Boolean(value)`.
    pub(super) fn truthy(self, value: Value) -> bool {
        let boolean = get!(self, napi_coerce_to_bool(value.0), ptr::null_mut());
        boolean.and_then(|boolean| get!(self, napi_get_value_bool(boolean), false)).unwrap_or(false)
    }

    /// The number, if the value is one.
    pub(super) fn as_number(self, value: Value) -> Option<f64> {
        get!(self, napi_get_value_double(value.0), 0.0).ok()
    }

    /// `Number(value)`.
    pub(super) fn to_number(self, value: Value) -> JsResult<f64> {
        let number = get!(self, napi_coerce_to_number(value.0), ptr::null_mut())?;
        get!(self, napi_get_value_double(number), 0.0)
    }

    /// `String(value)`; a symbol or an object without a text gives what it throws.
    pub(super) fn to_text(self, value: Value) -> JsResult<String> {
        let string = get!(self, napi_coerce_to_string(value.0), ptr::null_mut())?;
        Ok(self.as_string(Value(string)).unwrap_or_default())
    }

    /// The string, if the value is one. Lone surrogates become U+FFFD.
    pub(super) fn as_string(self, value: Value) -> Option<String> {
        self.as_utf8(value).map(decode_utf8)
    }

    /// The UTF-8 of the string, if the value is one.
    pub(super) fn as_utf8(self, value: Value) -> Option<Vec<u8>> {
        // The number of UTF-16 units is known at once, the number of UTF-8 bytes only after a pass over the string.
        // Almost all strings here are ASCII, where they are equal: guess so, and look again if it was wrong.
        let units = get!(self, napi_get_value_string_utf16(value.0, ptr::null_mut(), 0), 0).ok()?;
        let bytes = self.copy_utf8(value, units)?;
        if bytes.len() == units && bytes.is_ascii() {
            return Some(bytes);
        }
        let length = get!(self, napi_get_value_string_utf8(value.0, ptr::null_mut(), 0), 0).ok()?;
        self.copy_utf8(value, length)
    }

    /// At most `length` bytes of the string's UTF-8.
    fn copy_utf8(self, value: Value, length: usize) -> Option<Vec<u8>> {
        // Room for the NUL that Node-API adds, and for a last character of four bytes.
        let mut bytes: Vec<u8> = Vec::with_capacity(length + 4);
        let capacity = length + 1;
        let buffer = bytes.as_mut_ptr().cast();
        let written = get!(self, napi_get_value_string_utf8(value.0, buffer, capacity), 0).ok()?;
        // SAFETY: Node-API has initialised `written` bytes of the buffer, which is at most its capacity.
        unsafe { bytes.set_len(written) };
        Some(bytes)
    }

    /// Runs `work` in a handle scope of its own, so that the values it makes can be collected when it is done.
    pub(super) fn scope<T>(self, work: impl FnOnce() -> T) -> T {
        let scope = get!(self, napi_open_handle_scope(), ptr::null_mut());
        let result = work();
        if let Ok(scope) = scope {
            // SAFETY: the scope was opened above, and scopes opened since have been closed.
            unsafe { sys::napi_close_handle_scope(self.0, scope) };
        }
        result
    }
}
