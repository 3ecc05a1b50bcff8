// Who gives commands on this page. The server has no accounts; the name goes into the history.
const key = "fairlead-who";

export function who(): string {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return ""; // storage is forbidden
  }
}

export function setWho(name: string): void {
  try {
    localStorage.setItem(key, name);
  } catch {
    // It is asked for again the next time.
  }
}
