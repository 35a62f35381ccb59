import { styleText } from 'node:util'

/** Text for stdout in red, where stdout is a terminal that shows colours and `NO_COLOR` is not set. */
export function red(text: string): string {
  return styleText('red', text, { stream: process.stdout })
}
