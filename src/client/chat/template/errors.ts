/** An error that jinja2 would raise as well; the message begins with the name of Python's exception. */
export class PythonError extends Error {
  constructor(type: string, message: string) {
    super(`${type}: ${message}`)
  }
}

/** A template's own refusal of its messages, by `raise_exception`. */
export class RefusalError extends Error {}

/**
 * A feature of jinja2 or Python that is not implemented here; refused, so that nothing is ever rendered differently.
 */
export class UnsupportedError extends Error {}

/** Shorthand for the most frequent error. */
export function typeError(message: string): PythonError {
  return new PythonError('TypeError', message)
}
