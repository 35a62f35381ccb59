import { signal } from '@preact/signals'

const STORED_AS = 'petals-api-key'

/** The key that requests carry; undefined while none was needed. */
export const apiKey = signal(stored())

/** Set while the server wants a key that it was not given: why. */
export const keyWanted = signal<string | undefined>(undefined)

/** Whether the user wanted to give none: then only what the user does asks again. */
let declined = false
const waiting: ((isGiven: boolean) => void)[] = []

/** Takes a key: for this tab, or for good on this device. */
export function giveKey(key: string, remembers: boolean): void {
  apiKey.value = key
  keyWanted.value = undefined
  forgetStored()
  try {
    ;(remembers ? localStorage : sessionStorage).setItem(STORED_AS, key)
  } catch {
    // Where nothing may be stored, the key lasts as long as the page.
  }
  declined = false
  for (const resolve of waiting.splice(0)) resolve(true)
}

export function forgetKey(): void {
  apiKey.value = undefined
  forgetStored()
}

/** Asks the user for a key, unless none was wanted to be given; resolves with whether there is one. */
export function wantKey(reason: string): Promise<boolean> {
  if (declined) return Promise.resolve(false)
  keyWanted.value = reason
  return new Promise((resolve) => waiting.push(resolve))
}

/** Closes the question without a key. */
export function declineKey(): void {
  if (keyWanted.value === undefined) return
  keyWanted.value = undefined
  declined = true
  for (const resolve of waiting.splice(0)) resolve(false)
}

/** Lets the question be asked again. */
export function askAgain(): void {
  declined = false
}

function stored(): string | undefined {
  try {
    return sessionStorage.getItem(STORED_AS) ?? localStorage.getItem(STORED_AS) ?? undefined
  } catch {
    return undefined
  }
}

function forgetStored(): void {
  try {
    sessionStorage.removeItem(STORED_AS)
    localStorage.removeItem(STORED_AS)
  } catch {
    // Nothing was stored.
  }
}
