import { signal } from '@preact/signals'

/** The id of the message that is being edited. */
export const edited = signal<string | undefined>(undefined)
