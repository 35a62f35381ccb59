import { signal } from '@preact/signals'

/** The peer id of the server that is pointed at, in the map or in the table. */
export const pointed = signal<string | undefined>(undefined)
