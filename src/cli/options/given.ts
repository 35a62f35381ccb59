/** What one source gives for an option, not parsed yet. */
export interface Given {
  /** More than one text if the option was given more than once or as a list. */
  readonly texts: readonly string[]
  /** Where it was given, e.g. `--threads ` or `PETALS_THREADS=`; messages put the text behind it. */
  readonly label: string
}

/** What one source (command line, environment or file) gives, by the options' names. */
export type GivenOptions = ReadonlyMap<string, Given>
