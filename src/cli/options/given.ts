/** What somebody gave for an option, before it is read. */
export interface Given {
  /** More than one where it was given more than once, or as a list. */
  readonly texts: readonly string[]
  /** Where, as messages begin: followed by the text they name the value, like `--threads `, `PETALS_THREADS=`. */
  readonly label: string
}

/** What one place (command line, environment, file) gives, by the options' names. */
export type GivenOptions = ReadonlyMap<string, Given>
