# shellcheck shell=sh
# What a Linux host gives L0 by its KVM, and how to get what is missing. Sourced. Each check prints nothing, or one line.

KVM_DEVICE=${KVM_DEVICE:-/dev/kvm}
KVM_PARAMETERS=${KVM_PARAMETERS:-/sys/module/kvm_intel/parameters}
CPUINFO=${CPUINFO:-/proc/cpuinfo}

kvm_lacks_vmx() {
	grep -q -w -m 1 vmx "$CPUINFO" || echo "this CPU shows no VMX; use an Intel host with VT-x switched on in its set-up"
}

kvm_lacks_device() {
	[ -e "$KVM_DEVICE" ] || echo "no $KVM_DEVICE; load KVM: sudo modprobe kvm_intel"
}

kvm_lacks_rights() {
	if [ -e "$KVM_DEVICE" ] && ! { [ -r "$KVM_DEVICE" ] && [ -w "$KVM_DEVICE" ]; }; then
		echo "$KVM_DEVICE is not yours to use; join its group: sudo usermod -a -G kvm \$USER, and log in again"
	fi
}

# kvm_parameter NAME: its value, or nothing.
kvm_parameter() {
	[ ! -r "$KVM_PARAMETERS/$1" ] || cat "$KVM_PARAMETERS/$1"
}

# kvm_lacks NAME WHAT-FOR: a module parameter that is off.
kvm_lacks() {
	case $(kvm_parameter "$1") in
	Y | 1) ;;
	*) echo "kvm_intel has $1 off, $2; sudo modprobe -r kvm_intel && sudo modprobe kvm_intel $1=1" ;;
	esac
}

kvm_lacks_module() {
	[ -d "$KVM_PARAMETERS" ] || echo "kvm_intel is not loaded; sudo modprobe kvm_intel nested=1"
}

# All that a run needs, the first line only.
kvm_host_complaint() {
	{
		kvm_lacks_vmx
		kvm_lacks_device
		kvm_lacks_rights
		kvm_lacks_module
		[ ! -d "$KVM_PARAMETERS" ] || kvm_lacks nested "so its guests have no VMX"
		[ ! -d "$KVM_PARAMETERS" ] || kvm_lacks ept "so its guests have no EPT"
	} | head -n 1
}

kvm_host_check() {
	kvm_said=$(kvm_host_complaint)
	[ -z "$kvm_said" ] || die "$STATUS_FAILURE" "$kvm_said (--accel tcg works anywhere, to see L0 refuse a CPU without VMX)"
}

kvm_host_version() {
	printf 'KVM of Linux %s, %s\n' "$(uname -r)" "$(sed -n 's/^model name[^:]*: *//p' "$CPUINFO" | head -n 1)"
}
