import type { VNode } from 'preact'
import { declineKey, giveKey, keyWanted } from './api-key.ts'
import { Dialog } from './dialog.ts'
import { html } from './html.ts'

/** Asks for an API key when the server wants one. */
export function KeyDialog(): VNode {
  const reason = keyWanted.value
  return html`<${Dialog} isOpen=${reason !== undefined} label="API key" class="modal" onClose=${declineKey}>
    <form class="key-form" onSubmit=${submit}>
      <h2>This server asks for a key</h2>
      ${reason !== undefined && reason !== '' && html`<p class="error-text" role="alert">${reason}</p>`}
      <label class="field">
        <span>API key</span>
        <input name="key" type="password" autocomplete="off" required autofocus />
      </label>
      <label class="check">
        <input name="remember" type="checkbox" />
        <span>Remember it on this device. Without this, it is forgotten when the tab is closed.</span>
      </label>
      <div class="buttons">
        <button type="button" class="button" onClick=${declineKey}>Cancel</button>
        <button type="submit" class="button primary">Continue</button>
      </div>
    </form>
  <//>`
}

function submit(event: SubmitEvent): void {
  event.preventDefault()
  const form = new FormData(event.currentTarget as HTMLFormElement)
  giveKey(String(form.get('key')).trim(), form.get('remember') !== null)
}
